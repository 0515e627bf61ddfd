//! The closed list of operations that a device with amazon-ssm-agent may call.
//!
//! # Invariants
//! - The list is complete and no operation of an operator is on it: a device's key opens nothing
//!   else.

/// What proves a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceProof {
    /// Nothing: the caller is a stranger with an activation.
    Activation,
    /// An RSA-PSS signature by the device's own key.
    OwnKey,
    /// Signature Version 4 by keys that were issued to the device.
    IssuedKey,
}

macro_rules! device_operations {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal, $service:literal, $proof:ident;)+) => {
        /// An operation of a device.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum DeviceOperation {
            $($(#[$doc])* $name,)+
        }

        impl DeviceOperation {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// `X-Amz-Target`.
            #[must_use]
            pub const fn target(self) -> &'static str {
                match self { $(Self::$name => concat!($prefix, ".", stringify!($name)),)+ }
            }

            /// The service in the scope of its signature.
            #[must_use]
            pub const fn signing_name(self) -> &'static str {
                match self { $(Self::$name => $service,)+ }
            }

            /// What proves it.
            #[must_use]
            pub const fn proof(self) -> DeviceProof {
                match self { $(Self::$name => DeviceProof::$proof,)+ }
            }
        }
    };
}

device_operations! {
    /// Makes a key a device, by an activation.
    RegisterManagedInstance = "AmazonSSM", "ssm", Activation;
    /// Gives keys for an hour.
    RequestManagedInstanceRoleToken = "AmazonSSM", "ssm", OwnKey;
    /// Replaces the device's own key.
    UpdateManagedInstancePublicKey = "AmazonSSM", "ssm", OwnKey;
    /// Says what the device is.
    UpdateInstanceInformation = "AmazonSSM", "ssm", IssuedKey;
    /// Lists associations.
    ListInstanceAssociations = "AmazonSSM", "ssm", IssuedKey;
    /// Waits for messages of the older message service.
    GetMessages = "EC2WindowsMessageDeliveryService", "ec2messages", IssuedKey;
}

impl DeviceOperation {
    /// The operation of an `X-Amz-Target`; `None` for any other.
    #[must_use]
    pub fn parse(target: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.target() == target)
    }
}
