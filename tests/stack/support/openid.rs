//! A certified OpenID provider in a process of its own (see `openid/provider.js`).

use jarvis_stack::{Blueprint, Part};
use reqwest::StatusCode;
use serde_json::Value;
use tempfile::TempDir;
use xtask_support::{
    openid,
    process::{Process, attended},
    workspace,
};

use super::stack::venv;

const CLIENT: [(&str, &str); 2] = [("client_id", "the-client"), ("client_secret", "its secret")];

/// The provider, and its only client.
pub struct Provider {
    process: Process,
    pub issuer: String,
    keys: TempDir,
}

impl Provider {
    /// Starts a provider with a key of this name, whose tokens live `life` seconds.
    pub fn start(key: &str, life: u32) -> Self {
        let keys = tempfile::tempdir().expect("a folder for its keys");
        Self::start_at("0", keys, &[key], life)
    }

    /// Restarts the issuer with these keys, of which the first one signs. A name that it
    /// had before stands for the same key.
    pub fn with_keys(self, names: &[&str]) -> Self {
        let Self { mut process, issuer, keys } = self;
        process.kill();
        let port = issuer.rsplit(':').next().expect("a port");
        Self::start_at(port, keys, names, 300)
    }

    fn start_at(port: &str, keys: TempDir, names: &[&str], life: u32) -> Self {
        let installed = openid::ensure(&workspace::root()).unwrap_or_else(|error| panic!("{error:#}"));
        let vars = [
            ("OPENID_PORT", port),
            ("OPENID_KEYS", &names.join(",")),
            ("OPENID_FOLDER", &keys.path().display().to_string()),
            ("OPENID_LIFE", &life.to_string()),
        ];
        let mut command = attended(venv(), &installed.node, vars);
        command.arg(installed.script).current_dir(keys.path());
        let process = Process::start("OpenID provider", command, None).expect("it starts");
        let find = |line: &str| line.strip_prefix("issuer ").map(str::to_owned);
        let issuer = process.log().line("its issuer", find).expect("it says so");
        Self { process, issuer, keys }
    }

    fn token_endpoint(&self) -> String {
        format!("{}/token", self.issuer)
    }

    /// Requests a token for this audience with client credentials.
    pub async fn token(&self, audience: &str) -> String {
        let form = [CLIENT[0], CLIENT[1], ("grant_type", "client_credentials"), ("audience", audience)];
        let request = reqwest::Client::new().post(self.token_endpoint()).form(&form);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        let answer: Value = answer.json().await.expect("JSON");
        answer["access_token"].as_str().expect("a token").to_owned()
    }

    /// Configures a part to require tokens of this issuer for `audience`, and to request
    /// its own from it.
    pub fn guard(&self, mut blueprint: Blueprint, part: Part, audience: &str) -> Blueprint {
        let [(_, id), (_, secret)] = CLIENT;
        let vars = [
            ("ARP_AUTH_PROFILE", "enterprise"),
            ("ARP_AUTH_ISSUER", &self.issuer),
            ("ARP_AUTH_AUDIENCE", audience),
            ("ARP_AUTH_CLIENT_ID", id),
            ("ARP_AUTH_CLIENT_SECRET", secret),
            ("ARP_AUTH_TOKEN_ENDPOINT", &self.token_endpoint()),
        ];
        for (name, value) in vars {
            blueprint = blueprint.with(part, name, value);
        }
        blueprint
    }

    /// The number of tokens issued for requests that contain these words.
    pub fn granted(&self, words: &[&str]) -> usize {
        let all: Vec<_> = ["granted "].iter().chain(words).copied().collect();
        self.process.log().count(&all)
    }
}
