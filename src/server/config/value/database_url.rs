//! The URL of a database that is a journal.
//!
//! ```text
//!   postgres://USER[:PASSWORD]@HOST[:PORT][,HOST[:PORT]…]/DATABASE[?PARAMETER=VALUE&…]
//! ```
//!
//! All parameters of libpq that the client knows are accepted. These are ours:
//!
//! | parameter | meaning |
//! |---|---|
//! | `sslmode=verify-full`, `require` | TLS, and the certificate of the server is verified; the default |
//! | `sslmode=disable` | no TLS; the default for this host (a socket, `localhost`, a loopback address) |
//! | `sslrootcert=FILE` | certificates (PEM) that are trusted besides those of the system |
//!
//! Other modes of libpq verify nothing, or fall back to a connection without TLS. They
//! are refused.

use std::{fmt, path::PathBuf, time::Duration};

use percent_encoding::percent_decode_str;
use tokio_postgres::{
    Config,
    config::{Host, TargetSessionAttrs},
};

/// How long one attempt to connect may take, and the answer of one host.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// After this time without an acknowledgement, a connection is lost.
const UNACKNOWLEDGED: Duration = Duration::from_secs(7);

/// A silent connection is probed after this time, and this often.
const PROBE_AFTER: Duration = Duration::from_secs(5);
const PROBE_EVERY: Duration = Duration::from_secs(2);
const PROBES: u32 = 3;

/// Whether, and how, a connection is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseTls {
    Off,
    /// The certificate of the server is verified, and its name.
    Verified {
        extra_roots: Option<PathBuf>,
    },
}

/// The database of a journal. It is shown without its password.
#[derive(Clone)]
pub struct DatabaseUrl {
    config: Config,
    tls: DatabaseTls,
    shown: String,
}

impl DatabaseUrl {
    /// Whether a text is the URL of a database, and not the path of a file.
    pub fn is_url(text: &str) -> bool {
        text.starts_with("postgres://") || text.starts_with("postgresql://")
    }

    /// Parses a URL. The error says what is wrong, without the URL.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut extra_roots, mut rest) = (None, None, Vec::new());
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", value)) => mode = Some(decoded(value)?),
                Some(("sslrootcert", value)) => extra_roots = Some(PathBuf::from(decoded(value)?)),
                Some(("target_session_attrs", "read-write")) => {}
                Some(("target_session_attrs", _)) => {
                    return Err("target_session_attrs must be read-write: the journal is written".into());
                }
                Some(_) | None => rest.push(parameter),
            }
        }
        let plain = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
        // The text of the parser's error may have parts of the URL, but for its cause.
        let mut config: Config = plain.parse().map_err(|failed: tokio_postgres::Error| {
            let cause =
                std::error::Error::source(&failed).map_or_else(String::new, |cause| format!(": {cause}"));
            format!("it is not a URL of PostgreSQL{cause}")
        })?;
        if config.get_hosts().is_empty() {
            return Err("it names no host".into());
        }
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err("it names no database".into());
        }
        let tls = match mode.as_deref() {
            None if is_local(&config) => DatabaseTls::Off,
            None | Some("verify-full" | "require") => DatabaseTls::Verified { extra_roots },
            Some("disable") => DatabaseTls::Off,
            Some(other) => {
                return Err(format!("sslmode={other} is not supported: use verify-full, or disable"));
            }
        };
        config.ssl_mode(match tls {
            DatabaseTls::Off => tokio_postgres::config::SslMode::Disable,
            DatabaseTls::Verified { .. } => tokio_postgres::config::SslMode::Require,
        });
        limited(&mut config);
        if config.get_application_name().is_none() {
            config.application_name("jarvis-run-coordinator");
        }
        let shown = shown(&config);
        Ok(Self { config, tls, shown })
    }

    /// How the client connects.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The same for each host alone.
    pub fn each_host(&self) -> Vec<Config> {
        let config = &self.config;
        let alone = |(place, host): (usize, &Host)| {
            let mut alone = Config::new();
            match host {
                Host::Unix(folder) => alone.host_path(folder),
                Host::Tcp(name) => alone.host(name),
            };
            if let Some(address) = config.get_hostaddrs().get(place) {
                alone.hostaddr(*address);
            }
            // One port stands for all hosts.
            if let Some(port) = config.get_ports().get(place).or(config.get_ports().last()) {
                alone.port(*port);
            }
            if let Some(user) = config.get_user() {
                alone.user(user);
            }
            if let Some(password) = config.get_password() {
                alone.password(password);
            }
            if let Some(database) = config.get_dbname() {
                alone.dbname(database);
            }
            if let Some(options) = config.get_options() {
                alone.options(options);
            }
            if let Some(name) = config.get_application_name() {
                alone.application_name(name);
            }
            alone.ssl_mode(config.get_ssl_mode()).channel_binding(config.get_channel_binding());
            limited(&mut alone);
            alone
        };
        match config.get_hosts() {
            [_] => vec![config.clone()],
            hosts => hosts.iter().enumerate().map(alone).collect(),
        }
    }

    pub fn tls(&self) -> &DatabaseTls {
        &self.tls
    }

    /// Whether the URL has a password, which a list of processes would show.
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// With this password, which the URL does not have.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.config.password(password);
        self
    }
}

/// With our time limits, to servers that can be written to.
fn limited(config: &mut Config) {
    config
        .target_session_attrs(TargetSessionAttrs::ReadWrite)
        .connect_timeout(CONNECT_WITHIN)
        .tcp_user_timeout(UNACKNOWLEDGED)
        .keepalives(true)
        .keepalives_idle(PROBE_AFTER)
        .keepalives_interval(PROBE_EVERY)
        .keepalives_retries(PROBES);
}

fn decoded(value: &str) -> Result<String, String> {
    let text = percent_decode_str(value).decode_utf8().map_err(|_| "a parameter is not UTF-8".to_owned())?;
    Ok(text.into_owned())
}

/// Whether all hosts are this one.
fn is_local(config: &Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    })
}

/// `postgres://user@host:port,host:port/database`.
fn shown(config: &Config) -> String {
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(place, host)| {
            let name = match host {
                Host::Unix(folder) => folder.display().to_string(),
                Host::Tcp(name) => name.clone(),
            };
            // One port stands for all hosts.
            match config.get_ports().get(place).or(config.get_ports().last()) {
                Some(port) => format!("{name}:{port}"),
                None => name,
            }
        })
        .collect();
    let user = config.get_user().map_or_else(String::new, |user| format!("{user}@"));
    format!("postgres://{user}{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default())
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl PartialEq for DatabaseUrl {
    fn eq(&self, other: &Self) -> bool {
        self.config == other.config && self.tls == other.tls
    }
}

impl Eq for DatabaseUrl {}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(url: &str) -> DatabaseTls {
        DatabaseUrl::parse(url).unwrap().tls
    }

    #[test]
    fn url_is_shown_without_its_password() {
        let address =
            DatabaseUrl::parse("postgres://jarvis:hunter2@db1:5433,db2:5434/runs?sslmode=disable").unwrap();
        assert_eq!(address.to_string(), "postgres://jarvis@db1:5433,db2:5434/runs");
        assert_eq!(format!("{address:?}"), address.to_string());
        assert!(address.has_password());
        for url in ["postgres://jarvis:hunter2@db1:nine/runs", "postgres://jarvis:hunter2@db1/runs?hunter2=1"]
        {
            let error = DatabaseUrl::parse(url).unwrap_err();
            assert!(!error.contains("jarvis:hunter2"), "{error}");
        }
    }

    #[test]
    fn remote_connection_is_verified_unless_tls_is_disabled() {
        let verified = DatabaseTls::Verified { extra_roots: None };
        assert_eq!(tls("postgres://u@db/runs"), verified);
        assert_eq!(tls("postgres://u@db/runs?sslmode=require"), verified);
        assert_eq!(tls("postgres://u@localhost/runs?sslmode=verify-full"), verified);
        assert_eq!(tls("postgres://u@db/runs?sslmode=disable"), DatabaseTls::Off);
        assert_eq!(tls("postgres://u@localhost,127.0.0.1,[::1]/runs"), DatabaseTls::Off);
        assert_eq!(tls("postgres://u@%2Frun%2Fpostgresql/runs"), DatabaseTls::Off);
        assert_eq!(tls("postgres://u@localhost,db/runs"), verified);
        let with_root = tls("postgres://u@db/runs?sslrootcert=%2Fetc%2Fca.pem&connect_timeout=9");
        assert_eq!(with_root, DatabaseTls::Verified { extra_roots: Some("/etc/ca.pem".into()) });
    }

    #[test]
    fn invalid_url_is_refused_with_the_reason() {
        for (url, reason) in [
            ("postgres://u@db/runs?sslmode=prefer", "sslmode=prefer is not supported"),
            ("postgres://u@db/runs?target_session_attrs=any", "must be read-write"),
            ("postgres://u@db", "it names no database"),
            ("postgres:///runs", "it names no host"),
            ("postgres://u@db/runs?colour=blue", "it is not a URL of PostgreSQL"),
        ] {
            let error = DatabaseUrl::parse(url).unwrap_err();
            assert!(error.contains(reason), "{url}: {error}");
        }
    }

    #[test]
    fn each_host_alone_has_all_other_parts() {
        let url = DatabaseUrl::parse("postgres://u:p@db1:5433,db2:5434/runs?options=-c%20a%3Db").unwrap();
        let alone = |host: &str| {
            let url = format!("postgres://u:p@{host}/runs?options=-c%20a%3Db");
            DatabaseUrl::parse(&url).unwrap().config
        };
        assert_eq!(url.each_host(), [alone("db1:5433"), alone("db2:5434")]);
        let one = DatabaseUrl::parse("postgres://u@db/runs").unwrap();
        assert_eq!(one.each_host(), [one.config]);
    }

    #[test]
    fn path_is_no_url() {
        assert!(!DatabaseUrl::is_url("journal.db") && !DatabaseUrl::is_url("/var/postgres/journal"));
        assert!(DatabaseUrl::is_url("postgres://h/d") && DatabaseUrl::is_url("postgresql://h/d"));
    }
}
