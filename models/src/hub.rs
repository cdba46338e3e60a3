//! Models from the Hugging Face hub, through hf-hub and its cache, which Python shares.
//!
//! | variable | meaning |
//! |---|---|
//! | `HF_ENDPOINT` | the hub's address |
//! | `HF_HUB_CACHE`, `HF_HOME`, `XDG_CACHE_HOME` | where the cache is |
//! | `HF_TOKEN` | the token; without it, the file `token` that a login leaves beside the cache |
//! | `HF_HUB_OFFLINE` | `1`: never ask the network |

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candlelight_core::Progress;
use hf_hub::api::sync::{ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};

use crate::load::source::{CONFIG, Files, INDEX, PREPROCESSOR, WEIGHTS, shard, shard_names, text};
use crate::{Error, Result};

/// Whether the network may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// What the cache lacks is downloaded.
    Online,
    /// Only the cache counts.
    Offline,
}

/// Is told the file that is being downloaded, and how many of its bytes are here.
pub type OnDownload = Arc<dyn Fn(&str, Progress) + Send + Sync>;

/// A hub and its cache.
#[derive(Clone)]
pub struct Hub {
    endpoint: String,
    cache: PathBuf,
    token: Option<String>,
    network: Network,
    on_download: Option<OnDownload>,
}

/// The token stays out of logs.
impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { endpoint, cache, network, .. } = self;
        write!(f, "Hub {{ endpoint: {endpoint:?}, cache: {cache:?}, network: {network:?} }}")
    }
}

impl Hub {
    /// The hub that the environment describes.
    pub fn from_env() -> Self {
        let cache = cache_from_env();
        let token = variable("HF_TOKEN").or_else(|| Cache::new(cache.clone()).token());
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_string());
        let offline = variable("HF_HUB_OFFLINE").is_some_and(|value| is_yes(&value));
        let network = if offline { Network::Offline } else { Network::Online };
        Self {
            endpoint: endpoint.trim_end_matches('/').to_string(),
            cache,
            token,
            network,
            on_download: None,
        }
    }

    /// The hub at another address.
    pub fn endpoint(self, endpoint: impl Into<String>) -> Self {
        Self { endpoint: endpoint.into().trim_end_matches('/').to_string(), ..self }
    }

    /// The hub with its cache in another folder.
    pub fn cache(self, cache: impl Into<PathBuf>) -> Self {
        Self { cache: cache.into(), ..self }
    }

    /// The hub as the owner of `token` sees it.
    pub fn token(self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self }
    }

    /// The hub online or offline.
    pub fn network(self, network: Network) -> Self {
        Self { network, ..self }
    }

    /// Tells `watch` how downloads go on. What it leaves unfinished (the process may end) is continued next time.
    pub fn on_download(self, watch: impl Fn(&str, Progress) + Send + Sync + 'static) -> Self {
        Self { on_download: Some(Arc::new(watch)), ..self }
    }

    /// The files of the model `id`, from the cache as far as it has them.
    pub(crate) fn snapshot(&self, id: &str) -> Result<Snapshot> {
        let store = Store { hub: self, id, repo: repository(id)? };
        Ok(Snapshot {
            network: self.network,
            name: id.to_string(),
            config: store.file(CONFIG)?,
            weights: store.weights()?,
            preprocessor: store.optional(PREPROCESSOR)?,
        })
    }
}

/// `owner/name`, perhaps with `@revision`.
fn repository(id: &str) -> Result<Repo> {
    let (name, revision) = id.split_once('@').unwrap_or((id, "main"));
    let plain = |part: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !part.is_empty() && part.chars().all(known) && !part.contains("..")
    };
    match name.split('/').count() <= 2 && name.split('/').chain(revision.split('/')).all(plain) {
        true => Ok(Repo::with_revision(name.to_string(), RepoType::Model, revision.to_string())),
        false => Err(Error::BadId { id: id.to_string() }),
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().map(|value| value.trim().to_string()).filter(|value| !value.is_empty())
}

fn is_yes(value: &str) -> bool {
    ["1", "on", "yes", "true"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

fn cache_from_env() -> PathBuf {
    if let Some(cache) = variable("HF_HUB_CACHE") {
        return cache.into();
    }
    let home = || env::home_dir().unwrap_or_default().join(".cache");
    let caches = || variable("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
    variable("HF_HOME").map_or_else(|| caches().join("huggingface"), PathBuf::from).join("hub")
}

/// One repository in the cache and on the hub.
struct Store<'a> {
    hub: &'a Hub,
    id: &'a str,
    repo: Repo,
}

impl Store<'_> {
    fn file(&self, file: &str) -> Result<PathBuf> {
        let cached = Cache::new(self.hub.cache.clone()).repo(self.repo.clone()).get(file);
        match (cached, self.hub.network) {
            (Some(path), _) => Ok(path),
            (None, Network::Offline) => Err(self.not_cached(file)),
            (None, Network::Online) => self.download(file),
        }
    }

    /// A file that a model may lack. That it does is noted in the cache as Python notes it, so that the next
    /// load needs no network.
    fn optional(&self, file: &str) -> Result<Option<PathBuf>> {
        if self.absence(file).is_some_and(|note| note.exists()) {
            return Ok(None);
        }
        match self.file(file) {
            Ok(path) => Ok(Some(path)),
            Err(Error::NotCached { .. }) => Ok(None),
            Err(Error::NotOnHub { .. }) => {
                self.note_absence(file);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// One file, or the shards of the index.
    fn weights(&self) -> Result<Vec<PathBuf>> {
        if let Some(whole) = self.optional(WEIGHTS)? {
            return Ok(vec![whole]);
        }
        let Some(index) = self.optional(INDEX)? else { return Err(self.absent(WEIGHTS)) };
        shard_names(&text(&index)?)?.iter().map(|name| self.file(name)).collect()
    }

    fn absent(&self, file: &str) -> Error {
        match self.hub.network {
            Network::Offline => self.not_cached(file),
            Network::Online => Error::NotOnHub { id: self.id.to_string(), file: file.to_string() },
        }
    }

    fn not_cached(&self, file: &str) -> Error {
        Error::NotCached { id: self.id.to_string(), file: file.to_string(), cache: self.hub.cache.clone() }
    }

    fn folder(&self) -> PathBuf {
        self.hub.cache.join(self.repo.folder_name())
    }

    fn absence(&self, file: &str) -> Option<PathBuf> {
        let commit = fs::read_to_string(self.folder().join("refs").join(self.repo.revision())).ok()?;
        Some(self.folder().join(".no_exist").join(commit.trim()).join(file))
    }

    /// Only a hint: where it cannot be written, the hub is asked again.
    fn note_absence(&self, file: &str) {
        if let Some(note) = self.absence(file) {
            let written = note.parent().map(fs::create_dir_all).map(|_| fs::write(&note, []));
            drop(written);
        }
    }

    fn download(&self, file: &str) -> Result<PathBuf> {
        let begun = self.try_download(file);
        let settled = match begun {
            Err(ApiError::InvalidResume) => self.start_over(file),
            Err(error) if status(&error) == Some(416) => self.start_over(file),
            other => other,
        };
        settled.map_err(|error| self.explain(file, error))
    }

    fn try_download(&self, file: &str) -> std::result::Result<PathBuf, ApiError> {
        let api = ApiBuilder::from_cache(Cache::new(self.hub.cache.clone()))
            .with_endpoint(self.hub.endpoint.clone())
            .with_token(self.hub.token.clone())
            .with_progress(false)
            .with_user_agent(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
            .build()?;
        let progress = Download { watch: self.hub.on_download.as_ref(), file, done: 0, of: 0 };
        api.repo(self.repo.clone()).download_with_progress(file, progress)
    }

    /// What an earlier download left cannot be continued.
    fn start_over(&self, file: &str) -> std::result::Result<PathBuf, ApiError> {
        let blobs = fs::read_dir(self.folder().join("blobs"))?;
        let parts = blobs.filter_map(|entry| Some(entry.ok()?.path()));
        for part in parts.filter(|path| path.extension().is_some_and(|e| e == "part")) {
            fs::remove_file(part)?;
        }
        self.try_download(file)
    }

    fn explain(&self, file: &str, error: ApiError) -> Error {
        let (id, file) = (self.id.to_string(), file.to_string());
        match status(&error) {
            Some(404) => Error::NotOnHub { id, file },
            Some(status @ (401 | 403)) => Error::Unauthorized { id, file, status },
            _ => Error::Download { id, file, reason: error.to_string() },
        }
    }
}

/// One download on its way, as hf-hub tells of it: the bytes of every step.
struct Download<'a> {
    watch: Option<&'a OnDownload>,
    file: &'a str,
    done: usize,
    of: usize,
}

impl hf_hub::api::Progress for Download<'_> {
    fn init(&mut self, size: usize, _file: &str) {
        self.of = size;
    }

    fn update(&mut self, size: usize) {
        self.done += size;
        if let Some(watch) = self.watch {
            watch(self.file, Progress { done: self.done, of: self.of });
        }
    }

    fn finish(&mut self) {}
}

/// The status of the answer, if the hub answered at all.
fn status(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::RequestError(request) => match request.as_ref() {
            ureq::Error::StatusCode(status) => Some(*status),
            _ => None,
        },
        ApiError::TooManyRetries(last) => status(last),
        _ => None,
    }
}

/// The files of one model in the cache.
pub(crate) struct Snapshot {
    network: Network,
    name: String,
    config: PathBuf,
    preprocessor: Option<PathBuf>,
    weights: Vec<PathBuf>,
}

impl Snapshot {
    pub fn files(&self) -> Result<Files> {
        Ok(Files {
            name: self.name.clone(),
            config: text(&self.config)?,
            preprocessor: self.preprocessor.as_deref().map(text).transpose()?,
            shards: self.weights.iter().map(|path| shard(path)).collect::<Result<_>>()?,
        })
    }

    /// A damaged file leaves the cache, so that the next attempt downloads it again. What is merely not
    /// understood stays, and offline everything does.
    pub fn forget_damaged(&self, error: &Error) {
        if self.network == Network::Offline {
            return;
        }
        match error {
            Error::CorruptWeights { file, .. } => {
                self.weights
                    .iter()
                    .filter(|path| path.display().to_string() == *file)
                    .for_each(|path| forget(path));
            }
            Error::BadJson { source, .. } if !source.is_data() => forget(&self.config),
            _ => {}
        }
    }
}

/// Removes a file of the cache and the blob that it points to; what cannot be removed is found damaged again.
fn forget(path: &Path) {
    let blob = path.canonicalize();
    drop(fs::remove_file(path));
    drop(blob.map(fs::remove_file));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_owner_and_name_with_a_revision_if_need_be() -> Result<()> {
        assert_eq!(repository("microsoft/resnet-18")?.revision(), "main");
        assert_eq!(repository("owner/name@refs/pr/1")?.revision(), "refs/pr/1");
        for bad in ["", "a/b/c", "../etc", "a b", "a/b@", "a/..", "a/b@x y", "a/"] {
            assert!(matches!(repository(bad), Err(Error::BadId { .. })), "{bad}");
        }
        Ok(())
    }

    #[test]
    fn the_token_is_not_printed() {
        let hub = Hub::from_env().token("secret");
        assert!(!format!("{hub:?}").contains("secret"));
    }
}
