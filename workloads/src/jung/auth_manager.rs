//! Auth manager (section 4.1.2): authenticates the sender of a request and checks that they own the resource.
//!
//! Nothing is cached: every request queries the user registry and, if a device is involved, the device registry.

use std::sync::Arc;

use super::bus::{Bus, Recovery};
use super::handler::{Handler, Outcome, TaskContext};
use super::message::{Auth, AuthAnswer, AuthTask, Device, Fault, FaultKind, GetDevice, GetUser, Granted, User};

/// The auth manager. It is stateless.
#[derive(Debug)]
pub struct AuthManager<B> {
    bus: Arc<B>,
    sequential: bool,
}

impl<B: Bus> Handler for AuthManager<B> {
    type Tasks = AuthTask;
    const RECOVERY: Recovery = Recovery::Stateless;

    async fn handle(&self, at: TaskContext, task: AuthTask) -> Outcome<Self> {
        match task {
            AuthTask::Auth(auth) => self.check(at, auth).await.map(AuthAnswer::from),
            AuthTask::Ping(ping) => Ok(AuthAnswer::Pong(ping.pong())),
        }
    }
}

impl<B: Bus> AuthManager<B> {
    /// With `sequential`, user and device are fetched one after the other, as in the thesis.
    #[must_use]
    pub fn new(bus: Arc<B>, sequential: bool) -> Self {
        Self { bus, sequential }
    }

    async fn check(&self, at: TaskContext, auth: Auth) -> Result<Granted, Fault> {
        let user = self.bus.request(
            at.trace,
            GetUser {
                username: auth.username.clone(),
            },
        );
        let Some(device) = auth.device.clone() else {
            authenticate(&auth, user.await)?;
            return Ok(Granted {});
        };
        let device = self.bus.request(at.trace, GetDevice { device });
        if self.sequential {
            authenticate(&auth, user.await)?;
            check_owner(&auth, &device.await?)?;
        } else {
            let (user, device) = tokio::join!(user, device);
            authenticate(&auth, user)?;
            check_owner(&auth, &device?)?;
        }
        Ok(Granted {})
    }
}

/// Checks the password and that the user acts for themselves. A wrong password and an unknown user give the same error,
/// so that user names cannot be probed.
fn authenticate(auth: &Auth, user: Result<User, Fault>) -> Result<(), Fault> {
    let refused = || Fault::new(FaultKind::Unauthenticated, "invalid user name or password");
    let user = user.map_err(|fault| {
        if fault.kind == FaultKind::NotFound {
            refused()
        } else {
            fault
        }
    })?;
    if !user.password.matches(&auth.password) {
        return Err(refused());
    }
    if user.username != auth.owner {
        return Err(Fault::new(
            FaultKind::Forbidden,
            format!("user {} may not act for user {}", user.username, auth.owner),
        ));
    }
    Ok(())
}

fn check_owner(auth: &Auth, device: &Device) -> Result<(), Fault> {
    if device.owner == auth.username {
        Ok(())
    } else {
        Err(Fault::new(
            FaultKind::Forbidden,
            format!("device {} does not belong to user {}", device.id, auth.username),
        ))
    }
}
