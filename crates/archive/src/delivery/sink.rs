//! Sinks: a folder, or a bucket of an S3-compatible server, both through `object_store`.
//!
//! # Invariants
//! - An object appears under its key whole or not at all.
//! - An upload takes two parts of memory, whatever the object's size.
//! - With `object_lock_mode` each object is locked right after the upload, and counts as sent only
//!   then.
//!
//! # Not here
//! - When to try again, and when to give up: `outbox`.
//! - A bucket's default retention. Such a bucket accepts uploads only with `checksum = true`.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig};
use tokio::io::AsyncReadExt;

use base64::Engine as _;
use towline_ssm::sigv4::sha256;

use super::aws_call::{Call, Client, Target};
use super::error::SinkError;
use crate::limits::{MAX_SECRET_FILE, OBJECT_REQUEST, OBJECT_RETRIES, PART};
use crate::settings::{S3, SinkSettings};
use towline_host::clock::Clock;
use towline_host::files;

/// A sink. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sink {
    store: Arc<dyn ObjectStore>,
    lock: Option<Arc<Lock>>,
    /// The same store, if it is a folder of this machine.
    folder: Option<Arc<LocalFileSystem>>,
}

/// Locks objects after their upload.
struct Lock {
    client: Client,
    clock: Clock,
    bucket: String,
    mode: String,
    days: u64,
}

impl std::fmt::Debug for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lock({} for {} days)", self.mode, self.days)
    }
}

impl Sink {
    /// Opens the sink of the settings; makes no connection yet.
    ///
    /// # Errors
    /// [`SinkError::Settings`].
    pub fn open(settings: &SinkSettings, clock: &Clock) -> Result<Self, SinkError> {
        let lock = match settings {
            SinkSettings::S3(s3) => Lock::of(s3, clock)?.map(Arc::new),
            SinkSettings::Directory(_) => None,
        };
        let (store, folder): (Arc<dyn ObjectStore>, _) = match settings {
            SinkSettings::Directory(folder) => {
                files::private_dir(folder).map_err(|e| SinkError::Settings(e.to_string()))?;
                let store = LocalFileSystem::new_with_prefix(folder)
                    .map_err(|e| SinkError::Settings(e.to_string()))?;
                let store = Arc::new(store.with_automatic_cleanup(true));
                (Arc::clone(&store) as Arc<dyn ObjectStore>, Some(store))
            }
            SinkSettings::S3(s3) => (Arc::new(bucket(s3)?), None),
        };
        Ok(Self { store, lock, folder })
    }

    /// Sends a file that is not needed here any more. If the sink is a folder on the same file
    /// system, the file is moved, which costs neither time nor disk space.
    ///
    /// # Errors
    /// [`SinkError`]; the file is still here.
    pub async fn hand_over(&self, key: &str, path: &Path) -> Result<(), SinkError> {
        if self.moved(key, path).await { Ok(()) } else { self.send(key, path).await }
    }

    /// Moves the file, if that is possible. If not, sending it reports what is wrong.
    async fn moved(&self, key: &str, path: &Path) -> bool {
        let Some(folder) = &self.folder else { return false };
        let (Ok(target), path) = (folder.path_to_filesystem(&Key::from(key)), path.to_owned())
        else {
            return false;
        };
        let moved = tokio::task::spawn_blocking(move || {
            target.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::rename(path, target)
        });
        matches!(moved.await, Ok(Ok(())))
    }

    /// Sends a file under this key, in parts when it is large, and locks it if the settings say so.
    ///
    /// # Errors
    /// [`SinkError`].
    pub async fn send(&self, key: &str, path: &Path) -> Result<(), SinkError> {
        self.upload(key, path).await?;
        match &self.lock {
            Some(lock) => lock.set(key).await,
            None => Ok(()),
        }
    }

    async fn upload(&self, key: &str, path: &Path) -> Result<(), SinkError> {
        let mut file = tokio::fs::File::open(path).await?;
        let length = file.metadata().await?.len();
        let key = Key::from(key);
        if length <= PART as u64 {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).await?;
            self.store.put(&key, PutPayload::from(bytes)).await?;
            return Ok(());
        }
        let mut upload = self.store.put_multipart(&key).await?;
        let sent = send_parts(upload.as_mut(), &mut file).await;
        if sent.is_err() {
            // parts that stay behind cost money; if this fails, the bucket's own rules remove them
            let _ = upload.abort().await;
        }
        sent
    }

    /// Length of an object, bytes; `None` when there is none under this key.
    ///
    /// # Errors
    /// [`SinkError::Store`]: the server or folder does not answer.
    pub async fn length(&self, key: &str) -> Result<Option<u64>, SinkError> {
        match self.store.head(&Key::from(key)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A part of an object.
    ///
    /// # Errors
    /// [`SinkError::Store`]: no such object, or the server or folder does not answer.
    pub async fn read(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>, SinkError> {
        Ok(self.store.get_range(&Key::from(key), range).await?.to_vec())
    }

    /// The store, for listing and removing.
    #[must_use]
    pub(crate) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }
}

impl Lock {
    fn of(s3: &S3, clock: &Clock) -> Result<Option<Self>, SinkError> {
        let (Some(mode), Some(days)) = (s3.object_lock_mode.clone(), s3.object_lock_days) else {
            return Ok(None);
        };
        let region = s3.region.as_deref().unwrap_or("us-east-1");
        let key = s3.access_key_id.as_deref().zip(s3.secret_access_key_file.as_deref());
        let client = Client::new(&Target { endpoint: s3.server(), region, key }, clock)?;
        Ok(Some(Self { client, clock: clock.clone(), bucket: s3.bucket.clone(), mode, days }))
    }

    /// `PutObjectRetention`.
    async fn set(&self, key: &str) -> Result<(), SinkError> {
        let until = self
            .clock
            .now()
            .whole_seconds()
            .plus(Duration::from_secs(self.days.saturating_mul(86_400)));
        let body = format!(
            "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>{}</Mode><RetainUntilDate>{}</RetainUntilDate></Retention>",
            self.mode,
            until.to_rfc3339()
        )
        .into_bytes();
        let digest = base64::engine::general_purpose::STANDARD.encode(sha256(&body));
        let headers = [
            ("content-type", "application/xml".to_owned()),
            ("x-amz-checksum-sha256", digest),
            ("x-amz-sdk-checksum-algorithm", "SHA256".to_owned()),
        ];
        let path = format!("/{}/{key}", self.bucket);
        let call = Call {
            service: "s3",
            method: reqwest::Method::PUT,
            path: &path,
            query: "retention",
            headers: &headers,
            body,
        };
        self.client.call(call).await.map(drop).map_err(|error| SinkError::Lock(error.to_string()))
    }
}

async fn send_parts(
    upload: &mut dyn MultipartUpload,
    file: &mut tokio::fs::File,
) -> Result<(), SinkError> {
    loop {
        let mut part = Vec::with_capacity(PART);
        (&mut *file).take(PART as u64).read_to_end(&mut part).await?;
        if part.is_empty() {
            break;
        }
        upload.put_part(PutPayload::from(part)).await?;
    }
    upload.complete().await?;
    Ok(())
}

fn bucket(s3: &S3) -> Result<object_store::aws::AmazonS3, SinkError> {
    let settings = |e: object_store::Error| SinkError::Settings(e.to_string());
    // The client takes the process's provider of cryptography; only the first call sets it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder =
        AmazonS3Builder::from_env().with_bucket_name(&s3.bucket).with_retry(RetryConfig {
            max_retries: OBJECT_RETRIES,
            retry_timeout: OBJECT_REQUEST,
            ..RetryConfig::default()
        });
    builder = builder.with_client_options(
        object_store::ClientOptions::new().with_timeout(OBJECT_REQUEST).with_allow_http(
            s3.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://")),
        ),
    );
    if let Some(region) = &s3.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &s3.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let (Some(id), Some(file)) = (&s3.access_key_id, &s3.secret_access_key_file) {
        let secret =
            files::read(file, MAX_SECRET_FILE).map_err(|e| SinkError::Settings(e.to_string()))?;
        builder = builder
            .with_access_key_id(id)
            .with_secret_access_key(String::from_utf8_lossy(&secret).trim());
    }
    let option = |builder: AmazonS3Builder, key: &str, value: &str| {
        key.parse::<AmazonS3ConfigKey>()
            .map(|key| builder.with_config(key, value))
            .map_err(settings)
    };
    if let Some(kind) = &s3.server_side_encryption {
        builder = option(builder, "aws_server_side_encryption", kind)?;
    }
    if let Some(key) = &s3.kms_key_id {
        builder = option(builder, "aws_sse_kms_key_id", key)?;
    }
    if s3.checksum {
        builder = builder.with_checksum_algorithm(Checksum::SHA256);
    }
    builder.build().map_err(settings)
}
