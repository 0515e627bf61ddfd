//! A gateway, its devices and its operators in a scratch directory on loopback: the real programs,
//! as separate processes.
//!
//! Data flow: [`Lab::start`] (init, serve) -> [`Lab::device`] (activation, enroll, run) ->
//! [`Lab::admin`] drives the command line.
//!
//! # Invariants
//! - The gateway listens on a free port and keeps that port when it is started again.
//! - Agents reach it through a [`Relay`] of their own, so that each link can be cut and counted.
//! - Secrets go by environment or file, never by argv.

use std::path::{Path, PathBuf};

use super::device::{Device, DeviceSetup};
use super::gateway::{Gateway, GatewaySetup};
use super::operator::{Keys, Operator};
use super::programs::Programs;
use crate::relay::Relay;
use crate::{Outcome, Trouble, files};

/// A gateway with what belongs to it. Dropped: everything ends, the directory goes.
#[derive(Debug)]
pub struct Lab {
    // In this order they are dropped: programs before the directory they stand in.
    /// The gateway.
    pub gateway: Gateway,
    /// The programs under test.
    pub programs: Programs,
    directory: tempfile::TempDir,
    devices: std::cell::Cell<u32>,
}

impl Lab {
    /// Starts a gateway with its defaults.
    ///
    /// # Errors
    /// A program is not built, or the gateway does not come up; with its log.
    pub fn start() -> Outcome<Self> {
        Self::with(&GatewaySetup::default())
    }

    /// Starts a gateway that is set up like this.
    ///
    /// # Errors
    /// As [`Lab::start`].
    pub fn with(setup: &GatewaySetup) -> Outcome<Self> {
        Self::of(Programs::find()?, setup)
    }

    /// The same with these programs.
    ///
    /// # Errors
    /// As [`Lab::start`].
    pub fn of(programs: Programs, setup: &GatewaySetup) -> Outcome<Self> {
        let directory = tempfile::Builder::new().prefix("towline-lab-").tempdir()?;
        let gateway = Gateway::start(&programs, &directory.path().join("gateway"), setup)?;
        Ok(Self { gateway, programs, directory, devices: std::cell::Cell::new(0) })
    }

    /// The scratch directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The administrator that `init` made.
    #[must_use]
    pub fn admin(&self) -> Operator {
        self.operator(self.gateway.admin().clone())
    }

    /// An operator with these keys.
    #[must_use]
    pub fn operator(&self, keys: Keys) -> Operator {
        Operator::new(&self.programs, &self.gateway, keys, self.directory())
    }

    /// Makes a user with this policy (JSON; `None`: no policy) and gives an operator with its key.
    ///
    /// # Errors
    /// The administrator is refused.
    pub fn user(&self, name: &str, policy: Option<&str>) -> Outcome<Operator> {
        let admin = self.admin();
        admin.api("Towline.CreatePrincipal", &serde_json::json!({ "PrincipalName": name }))?;
        if let Some(policy) = policy {
            let body = serde_json::json!({ "PrincipalName": name, "PolicyName": "test", "PolicyDocument": policy });
            admin.api("Towline.PutPrincipalPolicy", &body)?;
        }
        let made =
            admin.api("Towline.CreateAccessKey", &serde_json::json!({ "PrincipalName": name }))?;
        let key = if made["AccessKey"].is_object() { &made["AccessKey"] } else { &made };
        Ok(self.operator(Keys::from_json(key)?))
    }

    /// Enrolls a device and runs its agent, behind a relay of its own; returns when the gateway
    /// says that it is online.
    ///
    /// # Errors
    /// With the agent's log.
    pub fn device(&self) -> Outcome<Device> {
        self.device_with(&DeviceSetup::default())
    }

    /// Like [`Lab::device`], set up like this.
    ///
    /// # Errors
    /// As [`Lab::device`].
    pub fn device_with(&self, setup: &DeviceSetup) -> Outcome<Device> {
        let mut device = self.enrolled(setup)?;
        device.start()?;
        device.wait_online(&self.admin())?;
        Ok(device)
    }

    /// Enrolls a device without starting its agent.
    ///
    /// # Errors
    /// With the words of the agent.
    pub fn enrolled(&self, setup: &DeviceSetup) -> Outcome<Device> {
        let mut device = self.unenrolled(setup)?;
        let keys: Vec<&str> = setup.tags.iter().map(|(key, _)| key.as_str()).collect();
        let permits = serde_json::json!({ "TowlineDeviceTagKeys": keys });
        device.enroll(&self.activation_with(1, &permits)?)?;
        Ok(device)
    }

    /// A device that nobody knows yet.
    ///
    /// # Errors
    /// What the system says.
    pub fn unenrolled(&self, setup: &DeviceSetup) -> Outcome<Device> {
        let relay = Relay::to(self.gateway.address())?;
        let number = self.devices.get() + 1;
        self.devices.set(number);
        let directory = self.directory().join(format!("device-{number}"));
        std::fs::create_dir(&directory)?;
        Device::new(&self.programs, &self.gateway, directory, relay, setup)
    }

    /// Makes an activation for so many devices, which bring no tags.
    ///
    /// # Errors
    /// The administrator is refused.
    pub fn activation(&self, uses: u32) -> Outcome<Activation> {
        self.activation_with(uses, &serde_json::json!({}))
    }

    /// The same with further members of the request.
    ///
    /// # Errors
    /// As [`Lab::activation`].
    pub fn activation_with(&self, uses: u32, more: &serde_json::Value) -> Outcome<Activation> {
        let mut body = serde_json::json!({ "IamRole": "towline", "RegistrationLimit": uses });
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let made = self.admin().api("AmazonSSM.CreateActivation", &body)?;
        let text = |name: &str| {
            made[name]
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| Trouble::new(format!("CreateActivation gave no {name}")))
        };
        Ok(Activation { id: text("ActivationId")?, code: text("ActivationCode")? })
    }

    /// Writes a file into the scratch directory.
    ///
    /// # Errors
    /// What the system says.
    pub fn file(&self, name: &str, content: &str) -> Outcome<PathBuf> {
        let path = self.directory().join(name);
        files::write(&path, content)?;
        Ok(path)
    }
}

/// What a device needs to be enrolled.
#[derive(Clone)]
pub struct Activation {
    /// Its id, a UUID.
    pub id: String,
    /// Its secret.
    pub code: String,
}

impl std::fmt::Debug for Activation {
    /// Without the code.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Activation").field("id", &self.id).finish_non_exhaustive()
    }
}
