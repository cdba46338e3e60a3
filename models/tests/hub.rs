//! A server on loopback speaks the hub's protocol, and fails in every way that a hub can fail.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use candlelight_models::hub::{Hub, Network};
use candlelight_models::{Error, LoadedModel, Loader, Result};

const ID: &str = "someone/tiny-resnet";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// How the server behaves.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Good,
    /// Nobody knows this repository.
    Missing,
    /// Every request needs another token.
    Refusing(u16),
    /// The connection ends in the middle of the weights.
    Truncating,
    /// The weights are not safetensors.
    Corrupting,
}

struct State {
    mood: Mood,
    files: HashMap<String, Vec<u8>>,
    requests: Vec<String>,
    tokens: Vec<String>,
}

#[derive(Clone)]
struct Server {
    endpoint: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    fn start(files: HashMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = State { mood: Mood::Good, files, requests: Vec::new(), tokens: Vec::new() };
        let server = Self { endpoint, state: Arc::new(Mutex::new(state)) };
        let shared = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = shared.clone();
                thread::spawn(move || server.answer(stream));
            }
        });
        server
    }

    fn set(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    fn with_files(&self, change: impl FnOnce(&mut HashMap<String, Vec<u8>>)) {
        change(&mut self.state.lock().unwrap().files);
    }

    fn requests(&self) -> usize {
        self.state.lock().unwrap().requests.len()
    }

    fn hub(&self, cache: &Path) -> Hub {
        Hub::from_env().endpoint(&self.endpoint).cache(cache).network(Network::Online).token("a-token")
    }

    /// Serves one connection with one request.
    fn answer(&self, stream: TcpStream) -> Option<()> {
        let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
        let path = lines.next()?.ok()?.split(' ').nth(1)?.to_string();
        let headers: Vec<String> =
            lines.map_while(std::io::Result::ok).take_while(|l| !l.is_empty()).collect();
        let header = |name: &str| {
            let line = headers.iter().find(|line| line.to_lowercase().starts_with(name))?;
            Some(line.split_once(": ")?.1.to_string())
        };
        let mut state = self.state.lock().unwrap();
        state.requests.push(path.clone());
        state.tokens.extend(header("authorization"));
        let (file, mood) = (path.strip_prefix(&format!("/{ID}/resolve/main/")).unwrap_or(""), state.mood);
        let body = state.files.get(file).cloned();
        drop(state);
        match (mood, body) {
            (Mood::Missing, _) | (_, None) => status(stream, 404),
            (Mood::Refusing(code), _) => status(stream, code),
            (_, Some(body)) => send(stream, mood, file, body, &header("range")?),
        }
    }
}

fn status(mut stream: TcpStream, code: u16) -> Option<()> {
    write!(stream, "HTTP/1.1 {code} no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok()
}

fn send(mut stream: TcpStream, mood: Mood, file: &str, body: Vec<u8>, range: &str) -> Option<()> {
    let weights = file.ends_with(".safetensors");
    let body = if weights && mood == Mood::Corrupting { vec![b'x'; body.len()] } else { body };
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let from: usize = from.parse().ok()?;
    let to = to.parse().map_or(body.len(), |to: usize| to + 1);
    if from >= body.len() {
        return status(stream, 416);
    }
    let part = &body[from..to];
    write!(
        stream,
        "HTTP/1.1 206 Partial Content\r\nETag: \"etag-{file}\"\r\nX-Repo-Commit: {COMMIT}\r\n\
         Content-Range: bytes {from}-{}/{}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        to - 1,
        body.len(),
        part.len(),
    )
    .ok()?;
    let cut = weights && mood == Mood::Truncating && part.len() > 1;
    stream.write_all(if cut { &part[..part.len() / 2] } else { part }).ok()
}

fn server() -> Server {
    let model = common::tiny_resnet();
    let preprocessor = br#"{"image_processor_type": "ViTImageProcessor"}"#.to_vec();
    Server::start(HashMap::from([
        ("config.json".to_string(), model.config.into_bytes()),
        ("preprocessor_config.json".to_string(), preprocessor),
        ("model.safetensors".to_string(), model.weights.into_iter().next().unwrap()),
    ]))
}

fn load(hub: Hub) -> Result<LoadedModel> {
    Loader::default().hub(hub).load(ID)
}

/// Once the hub is well again, the same cache serves the model.
fn recovers(server: &Server, cache: &Path) {
    server.set(Mood::Good);
    let loaded = load(server.hub(cache)).unwrap();
    assert_eq!(loaded.model.classes(), 3);
    assert_eq!(load(server.hub(cache).network(Network::Offline)).unwrap().name, ID);
}

#[test]
fn a_model_comes_from_the_hub_and_then_from_the_cache() {
    let (server, cache) = (server(), tempfile::tempdir().unwrap());
    let loaded = load(server.hub(cache.path())).unwrap();
    assert_eq!((loaded.name.as_str(), loaded.labels.len()), (ID, 3));
    assert!(loaded.preprocessor.unwrap().contains("ViTImageProcessor"));
    assert!(server.state.lock().unwrap().tokens.iter().all(|token| token == "Bearer a-token"));
    let asked = server.requests();
    assert!(asked > 0);
    load(server.hub(cache.path())).unwrap();
    assert_eq!(server.requests(), asked, "the second load asked the hub");
}

#[test]
fn downloads_are_told_to_their_end_and_the_weights_can_be_found() {
    let (server, cache) = (server(), tempfile::tempdir().unwrap());
    let told = Arc::new(Mutex::new(HashMap::new()));
    let notes = told.clone();
    let hub = server.hub(cache.path()).on_download(move |file, progress| {
        notes.lock().unwrap().insert(file.to_string(), progress);
    });
    let loaded = load(hub).unwrap();
    let weights = std::fs::read(&loaded.weight_files[0]).unwrap();
    let last = told.lock().unwrap()["model.safetensors"];
    assert_eq!((last.done, last.of), (weights.len(), weights.len()));
    assert_eq!(told.lock().unwrap().len(), 3);
}

#[test]
fn a_model_without_a_preprocessor_asks_for_it_once() {
    let (server, cache) = (server(), tempfile::tempdir().unwrap());
    server.state.lock().unwrap().files.remove("preprocessor_config.json");
    assert_eq!(load(server.hub(cache.path())).unwrap().preprocessor, None);
    let asked = server.requests();
    assert_eq!(load(server.hub(cache.path())).unwrap().preprocessor, None);
    assert_eq!(server.requests(), asked, "the second load asked the hub");
}

#[test]
fn shards_come_by_their_index() {
    let (server, cache) = (server(), tempfile::tempdir().unwrap());
    let (index, shards) = common::shards(&common::tiny_resnet());
    server.with_files(|files| {
        files.remove("model.safetensors");
        files.insert("model.safetensors.index.json".to_string(), index.into_bytes());
        files.extend(shards);
    });
    let hub = server.hub(cache.path());
    assert_eq!(load(hub).unwrap().model.classes(), 3);
}

#[test]
fn offline_only_the_cache_counts() {
    let (server, cache) = (server(), tempfile::tempdir().unwrap());
    let error = load(server.hub(cache.path()).network(Network::Offline)).unwrap_err();
    assert!(matches!(&error, Error::NotCached { file, .. } if file == "config.json"), "{error}");
    assert!(error.to_string().contains("HF_HUB_OFFLINE"), "{error}");
    assert_eq!(server.requests(), 0);
    recovers(&server, cache.path());
}

#[test]
fn a_missing_repository_is_named() {
    let (server, cache) = (server(), tempfile::tempdir().unwrap());
    server.set(Mood::Missing);
    let error = load(server.hub(cache.path())).unwrap_err();
    assert!(matches!(&error, Error::NotOnHub { id, .. } if id == ID), "{error}");
    recovers(&server, cache.path());
}

#[test]
fn a_refusal_points_to_the_token() {
    for code in [401, 403] {
        let (server, cache) = (server(), tempfile::tempdir().unwrap());
        server.set(Mood::Refusing(code));
        let error = load(server.hub(cache.path())).unwrap_err();
        assert!(matches!(error, Error::Unauthorized { status, .. } if status == code), "{error}");
        assert!(error.to_string().contains("HF_TOKEN"), "{error}");
        recovers(&server, cache.path());
    }
}

#[test]
fn a_truncated_download_is_an_error_and_is_finished_later() {
    let (server, cache) = (server(), tempfile::tempdir().unwrap());
    server.set(Mood::Truncating);
    let error = load(server.hub(cache.path())).unwrap_err();
    assert!(matches!(&error, Error::Download { file, .. } if file == "model.safetensors"), "{error}");
    let offline = load(server.hub(cache.path()).network(Network::Offline)).unwrap_err();
    assert!(matches!(offline, Error::NotCached { .. }), "{offline}");
    recovers(&server, cache.path());
}

#[test]
fn a_corrupt_file_leaves_the_cache() {
    let (server, cache) = (server(), tempfile::tempdir().unwrap());
    server.set(Mood::Corrupting);
    let error = load(server.hub(cache.path())).unwrap_err();
    assert!(matches!(error, Error::CorruptWeights { .. }), "{error}");
    recovers(&server, cache.path());
}

#[test]
fn a_finished_part_that_was_never_renamed_is_no_obstacle() {
    let (server, cache) = (server(), tempfile::tempdir().unwrap());
    server.set(Mood::Truncating);
    load(server.hub(cache.path())).unwrap_err();
    let whole = server.state.lock().unwrap().files["model.safetensors"].clone();
    let blobs = cache.path().join("models--someone--tiny-resnet/blobs");
    let part =
        blobs.read_dir().unwrap().flatten().find(|e| e.path().extension().is_some_and(|e| e == "part"));
    std::fs::write(part.unwrap().path(), whole).unwrap();
    recovers(&server, cache.path());
}

#[test]
fn a_hub_that_cannot_be_reached_is_a_download_error() {
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::from_env().endpoint("http://127.0.0.1:9").cache(cache.path()).network(Network::Online);
    let error = load(hub).unwrap_err();
    assert!(matches!(error, Error::Download { .. }), "{error}");
}

/// What the child process of the next test does; on its own it does nothing.
#[test]
fn child_loads_what_the_environment_says() {
    if let Ok(expected) = std::env::var("CANDLELIGHT_HUB_CHILD") {
        let outcome = match candlelight_models::load(ID) {
            Ok(loaded) => format!("{} classes", loaded.model.classes()),
            Err(error) => error.to_string(),
        };
        assert!(outcome.contains(&expected), "`{outcome}` where `{expected}` was expected");
    }
}

#[test]
fn the_environment_sets_endpoint_cache_token_and_offline_mode() {
    let (server, home) = (server(), tempfile::tempdir().unwrap());
    let child = |expected: &str, offline: &str| {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_loads_what_the_environment_says"])
            .env("CANDLELIGHT_HUB_CHILD", expected)
            .env("HF_ENDPOINT", &server.endpoint)
            .env("HF_HOME", home.path())
            .env_remove("HF_HUB_CACHE")
            .env("HF_TOKEN", "from-the-environment")
            .env("HF_HUB_OFFLINE", offline)
            .output();
        assert!(status.unwrap().status.success(), "not `{expected}` with HF_HUB_OFFLINE={offline}");
    };
    child("is not in", "1");
    assert_eq!(server.requests(), 0);
    child("3 classes", "0");
    assert!(server.state.lock().unwrap().tokens.contains(&"Bearer from-the-environment".to_string()));
    let asked = server.requests();
    child("3 classes", "1");
    assert_eq!(server.requests(), asked);
    assert!(home.path().join("hub/models--someone--tiny-resnet").is_dir());
}
