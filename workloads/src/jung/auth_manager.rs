//! Auth manager (section 4.1.2): is the sender who he says, and is the thing his?
//!
//! Nothing is cached: every request asks the user registry and, where a device is involved, the device registry.

use std::sync::Arc;

use super::bus::{Bus, Memory};
use super::handler::{At, Handler, Outcome};
use super::message::{Auth, AuthAnswer, AuthTask, Device, Fault, GetDevice, GetUser, Granted, Kind, User};

/// The auth manager, which keeps nothing.
#[derive(Debug)]
pub struct AuthManager<B> {
    bus: Arc<B>,
    one_by_one: bool,
}

impl<B: Bus> Handler for AuthManager<B> {
    type Tasks = AuthTask;
    const MEMORY: Memory = Memory::None;

    async fn handle(&self, at: At, task: AuthTask) -> Outcome<Self> {
        match task {
            AuthTask::Auth(auth) => self.check(at, auth).await.map(AuthAnswer::from),
            AuthTask::Ping(ping) => Ok(AuthAnswer::Pong(ping.pong())),
        }
    }
}

impl<B: Bus> AuthManager<B> {
    /// With `one_by_one`, user and device are fetched one after the other, as in the thesis.
    #[must_use]
    pub fn new(bus: Arc<B>, one_by_one: bool) -> Self {
        Self { bus, one_by_one }
    }

    async fn check(&self, at: At, auth: Auth) -> Result<Granted, Fault> {
        let user = self.bus.ask(
            at.trace,
            GetUser {
                username: auth.username.clone(),
            },
        );
        let Some(device) = auth.device.clone() else {
            is_himself(&auth, user.await)?;
            return Ok(Granted {});
        };
        let device = self.bus.ask(at.trace, GetDevice { device });
        if self.one_by_one {
            is_himself(&auth, user.await)?;
            is_his(&auth, &device.await?)?;
        } else {
            let (user, device) = tokio::join!(user, device);
            is_himself(&auth, user)?;
            is_his(&auth, &device?)?;
        }
        Ok(Granted {})
    }
}

/// A wrong password and an unknown user look alike, so that nobody learns who exists.
fn is_himself(auth: &Auth, user: Result<User, Fault>) -> Result<(), Fault> {
    let refused = || Fault::new(Kind::Unauthenticated, "the user name or the password is wrong");
    let user = user.map_err(|fault| if fault.kind == Kind::NotFound { refused() } else { fault })?;
    if !user.password.matches(&auth.password) {
        return Err(refused());
    }
    if user.username != auth.owner {
        return Err(Fault::new(
            Kind::Forbidden,
            format!("{} may not act for {}", user.username, auth.owner),
        ));
    }
    Ok(())
}

fn is_his(auth: &Auth, device: &Device) -> Result<(), Fault> {
    if device.owner == auth.username {
        Ok(())
    } else {
        Err(Fault::new(
            Kind::Forbidden,
            format!("the device {} is not {}'s", device.id, auth.username),
        ))
    }
}
