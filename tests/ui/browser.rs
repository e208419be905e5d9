//! A headless Chromium, driven by the protocol WebDriver: JSON over HTTP.
//!
//! **Why not a crate:** these few requests are all that is used, and the clients on
//! crates.io bring an older HTTP library and Unicode tables with them.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

/// A browser with one window, and its driver.
pub struct Browser {
    http: reqwest::Client,
    session: String,
    driver: Child,
}

/// How the page is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub width: u32,
    pub height: u32,
    pub dark: bool,
}

impl Look {
    pub const WIDE: Self = Self { width: 1280, height: 800, dark: false };
    pub const NARROW: Self = Self { width: 390, height: 800, dark: false };

    pub fn dark(self) -> Self {
        Self { dark: true, ..self }
    }
}

/// The key under which WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

fn program(variable: &str, name: &str) -> String {
    env::var(variable).unwrap_or_else(|_| name.to_owned())
}

/// Starts a driver; returns it with its port, or nothing if it ends at once.
fn driver() -> Option<(Child, String)> {
    let name = program("UI_CHROMEDRIVER", "chromedriver");
    let mut command = Command::new(&name);
    command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null());
    let mut driver =
        command.spawn().unwrap_or_else(|error| panic!("start {name}: {error}; see `cargo xtask ui`"));
    let lines = BufReader::new(driver.stdout.as_mut().expect("its output")).lines();
    let port = lines.map_while(Result::ok).find_map(|line| {
        let port = line.strip_prefix("ChromeDriver was started successfully on port ")?;
        Some(port.trim_end_matches('.').to_owned())
    });
    match port {
        Some(port) => Some((driver, port)),
        None => {
            let _over = driver.kill();
            let _status = driver.wait();
            None
        }
    }
}

impl Browser {
    pub async fn start(look: Look) -> Self {
        // Of two that start at once, one may find its port taken.
        let (driver, port) = (0..5).find_map(|_| driver()).expect("chromedriver listens");
        let url = format!("http://127.0.0.1:{port}");
        let arguments = [
            "--headless=new".to_owned(),
            // For users without namespaces, root in a container among them.
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--hide-scrollbars".to_owned(),
            "--lang=en".to_owned(),
        ];
        let mut options = json!({"args": arguments});
        if let Ok(binary) = env::var("UI_CHROMIUM") {
            options["binary"] = binary.into();
        }
        let http = reqwest::Client::new();
        let capabilities = json!({"browserName": "chrome", "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": options});
        let body = json!({"capabilities": {"alwaysMatch": capabilities}});
        let created = post(&http, &format!("{url}/session"), &body).await;
        let session = format!("{url}/session/{}", created["sessionId"].as_str().expect("a session"));
        let browser = Self { http, session, driver };
        browser.look(look).await;
        browser
    }

    /// The size of the window, and the colours that its user prefers.
    pub async fn look(&self, look: Look) {
        let Look { width, height, dark } = look;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.ask("goog/cdp/execute", json!({"cmd": command, "params": parameters})).await
    }

    pub async fn go(&self, url: &str) {
        self.ask("url", json!({"url": url})).await;
    }

    pub async fn address(&self) -> String {
        self.get("url").await.as_str().expect("an address").to_owned()
    }

    pub async fn reload(&self) {
        self.ask("refresh", json!({})).await;
    }

    /// The value of a function body in the page.
    pub async fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.ask("execute/sync", json!({"script": script, "args": arguments})).await
    }

    /// The same, of one that calls its last argument with it.
    pub async fn run_async(&self, script: &str) -> Value {
        self.ask("execute/async", json!({"script": script, "args": []})).await
    }

    /// Clicks an element that a script has found.
    pub async fn click(&self, element: &Value) {
        let id = element[ELEMENT].as_str().expect("an element");
        self.ask(&format!("element/{id}/click"), json!({})).await;
    }

    /// Types into an element that a script has found.
    pub async fn type_into(&self, element: &Value, text: &str) {
        let id = element[ELEMENT].as_str().expect("an element");
        self.ask(&format!("element/{id}/value"), json!({"text": text})).await;
    }

    /// Presses keys, one after the other, wherever the focus is.
    pub async fn press(&self, keys: &[&str]) {
        let events: Vec<Value> = keys
            .iter()
            .flat_map(|key| {
                [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]
            })
            .collect();
        self.ask("actions", json!({"actions": [{"type": "key", "id": "keys", "actions": events}]})).await;
    }

    pub async fn picture(&self) -> Vec<u8> {
        use base64::{Engine, prelude::BASE64_STANDARD};
        let text = self.get("screenshot").await;
        BASE64_STANDARD.decode(text.as_str().expect("a picture")).expect("base64")
    }

    /// What the browser has logged since the last call, but for requests that were
    /// answered with an error: pages show those.
    pub async fn complaints(&self) -> Vec<String> {
        let logged = self.ask("se/log", json!({"type": "browser"})).await;
        let entries = logged.as_array().expect("entries").iter();
        let serious = entries
            .filter(|entry| entry["level"] == "SEVERE" || entry["message"].to_string().contains("Policy"));
        let messages = serious.map(|entry| entry["message"].as_str().expect("a message").to_owned());
        messages.filter(|message| !message.contains("Failed to load resource")).collect()
    }

    pub async fn close(mut self) {
        let _gone = self.http.delete(&self.session).send().await;
        let _over = self.driver.kill();
        let _status = self.driver.wait();
    }

    async fn get(&self, path: &str) -> Value {
        value(self.http.get(format!("{}/{path}", self.session))).await
    }

    async fn ask(&self, path: &str, body: Value) -> Value {
        post(&self.http, &format!("{}/{path}", self.session), &body).await
    }
}

async fn post(http: &reqwest::Client, url: &str, body: &Value) -> Value {
    value(http.post(url).json(body)).await
}

async fn value(request: reqwest::RequestBuilder) -> Value {
    let answer = request.send().await.expect("the driver answers");
    let mut body: Value = answer.json().await.expect("JSON");
    let value = body["value"].take();
    assert!(!value["error"].is_string(), "{}: {}", value["error"], value["message"]);
    value
}
