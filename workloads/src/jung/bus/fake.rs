//! A scripted bus for tests that records the tasks sent.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use uuid::Uuid;

use super::Bus;
use crate::jung::message::{Call, Fault, Tasks};

type Script = Box<dyn FnMut(&Value) -> Box<dyn Any + Send> + Send>;

/// The bus. A task without a script times out, like one that no service processes.
#[derive(Default)]
pub struct FakeBus {
    scripts: Mutex<HashMap<TypeId, Script>>,
    sent: Mutex<Vec<(String, Value)>>,
}

impl std::fmt::Debug for FakeBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeBus")
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}

impl FakeBus {
    /// A bus without scripts.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Sets the script that replies to tasks of type `C`.
    pub fn on<C: Call>(&self, mut script: impl FnMut(&Value) -> Result<C::Reply, Fault> + Send + 'static) {
        let script: Script = Box::new(move |task| Box::new(script(task)));
        self.scripts.lock().unwrap().insert(TypeId::of::<C>(), script);
    }

    /// Takes the tasks sent so far: names such as `user-registry GET`, and their JSON.
    pub fn take_sent(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut *self.sent.lock().unwrap())
    }

    /// Takes the names of the tasks sent so far.
    pub fn take_names(&self) -> Vec<String> {
        self.take_sent().into_iter().map(|(name, _)| name).collect()
    }

    fn record<C: Call>(&self, call: C) -> Value {
        let task = call.into_task();
        let json = serde_json::to_value(&task).unwrap();
        let name = format!("{} {}", <C::Tasks as Tasks>::SERVICE, task.kind());
        self.sent.lock().unwrap().push((name, json.clone()));
        json
    }
}

impl Bus for FakeBus {
    async fn request<C: Call>(&self, _trace: Uuid, call: C) -> Result<C::Reply, Fault> {
        let json = self.record(call);
        tokio::task::yield_now().await;
        let mut scripts = self.scripts.lock().unwrap();
        let Some(script) = scripts.get_mut(&TypeId::of::<C>()) else {
            return Err(Fault::timeout(<C::Tasks as Tasks>::SERVICE));
        };
        *script(&json).downcast().unwrap()
    }

    fn send<C: Call>(&self, _trace: Uuid, call: C) -> Result<(), Fault> {
        self.record(call);
        Ok(())
    }
}
