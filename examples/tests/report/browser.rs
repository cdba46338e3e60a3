//! A headless Chromium, driven over a pipe by its DevTools protocol.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// No sandbox, which root has none of; nothing that asks the network by itself.
const FLAGS: [&str; 16] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--disable-extensions",
    "--disable-breakpad",
    "--metrics-recording-only",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
];

/// One page in a browser of its own.
pub struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    /// What was told in between answers.
    events: VecDeque<Value>,
    session: Option<String>,
    sent: u64,
    _profile: TempDir,
}

/// Where Chromium is, if it is.
pub fn chromium() -> Option<PathBuf> {
    let named = env::var_os("CANDLELIGHT_CHROMIUM").map(PathBuf::from);
    let folders = env::var_os("PATH").unwrap_or_default();
    let installed = env::split_paths(&folders)
        .flat_map(|folder| ["chromium", "chromium-browser", "google-chrome"].map(|name| folder.join(name)));
    named.into_iter().chain(installed).find(|path| path.is_file())
}

impl Browser {
    /// A browser with an empty page, `width` x `height` CSS pixels.
    pub fn open(program: &Path, width: u32, height: u32) -> Self {
        let profile = TempDir::new().unwrap();
        // The protocol's pipes are descriptors 3 and 4, which a shell can make of the two that a child has.
        let script = r#"exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>/dev/null"#;
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(program).args(FLAGS).arg("about:blank");
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (commands, told) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, messages) = mpsc::channel();
        std::thread::spawn(move || {
            let parsed = BufReader::new(told).split(0).map_while(Result::ok);
            parsed.filter_map(|it| serde_json::from_slice(&it).ok()).try_for_each(|it| sender.send(it))
        });
        let (events, session) = (VecDeque::new(), None);
        let mut it = Self { child, commands, messages, events, session, sent: 0, _profile: profile };
        it.attach();
        for domain in ["Page", "Runtime", "Network", "Log", "DOM"] {
            it.call(&format!("{domain}.enable"), json!({}));
        }
        it.resize(width, height);
        it
    }

    fn attach(&mut self) {
        let target = self.call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = self.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        self.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
    }

    /// Calls a method of the protocol, and gives its result.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.sent += 1;
        let mut message = json!({ "id": self.sent, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.commands.write_all(format!("{message}\0").as_bytes()).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let told = self.messages.recv_timeout(left).unwrap_or_else(|_| panic!("no answer to {method}"));
            if told["id"] != self.sent {
                self.events.push_back(told);
                continue;
            }
            assert!(told["error"].is_null(), "{method}: {}", told["error"]);
            return told["result"].clone();
        }
    }

    /// The size of the page in CSS pixels.
    pub fn resize(&mut self, width: u32, height: u32) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Opens an address, and waits until it is loaded.
    pub fn visit(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url }));
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// Waits until an expression is true.
    pub fn wait_for(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.eval(expression) != true {
            assert!(Instant::now() < deadline, "never true: {expression}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The value of an expression.
    pub fn eval(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let result = self.call("Runtime.evaluate", params);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].clone()
    }

    /// Moves the pointer, in CSS pixels of the window.
    pub fn point(&mut self, x: f64, y: f64) {
        self.call("Input.dispatchMouseEvent", json!({ "type": "mouseMoved", "x": x, "y": y }));
    }

    /// Chooses a file in the field with this id.
    #[cfg(feature = "serve")]
    pub fn choose(&mut self, field: &str, file: &Path) {
        let expression = format!("document.getElementById('{field}')");
        let object =
            self.call("Runtime.evaluate", json!({ "expression": expression }))["result"]["objectId"].clone();
        self.call("DOM.setFileInputFiles", json!({ "files": [file.to_str().unwrap()], "objectId": object }));
    }

    /// Presses a key that writes nothing, such as `ArrowLeft`.
    pub fn press(&mut self, key: &str, code: u32) {
        for kind in ["rawKeyDown", "keyUp"] {
            let params = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    /// Presses Enter, which writes a line's end.
    pub fn enter(&mut self) {
        for (kind, text) in [("keyDown", "\r"), ("keyUp", "")] {
            let params = json!({ "type": kind, "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": text });
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    /// The whole page as a PNG.
    pub fn picture(&mut self) -> Vec<u8> {
        let size = self.call("Page.getLayoutMetrics", json!({}))["cssContentSize"].clone();
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        self.bytes("Page.captureScreenshot", json!({ "captureBeyondViewport": true, "clip": clip }))
    }

    /// The page on paper, as a PDF.
    pub fn print(&mut self) -> Vec<u8> {
        self.bytes("Page.printToPDF", json!({ "preferCSSPageSize": true, "printBackground": true }))
    }

    fn bytes(&mut self, method: &str, params: Value) -> Vec<u8> {
        BASE64_STANDARD.decode(self.call(method, params)["data"].as_str().unwrap()).unwrap()
    }

    /// What the reader of the page likes: `light` or `dark`.
    pub fn prefer(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// What was told of this method.
    pub fn told(&mut self, method: &str) -> Vec<Value> {
        self.events.extend(self.messages.try_iter());
        self.events.iter().filter(|it| it["method"] == method).map(|it| it["params"].clone()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.session = None;
        drop(self.commands.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0"));
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(50));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
