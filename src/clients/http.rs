//! The HTTP client: one pool of connections to all services.

use std::time::Duration;

/// How long an idle connection is kept. The Python services close idle
/// connections after five seconds: a request that is on its way at that moment
/// is lost, and whether it may be sent again is unknown.
const IDLE: Duration = Duration::from_secs(4);

/// The connection pool for all services, which trusts the system's roots: see
/// `builder`. Where there are none, as in a bare container, calls over HTTP work all the
/// same, and those over HTTPS fail: no issuer is known.
pub fn http_client(connect_timeout: Duration) -> Result<reqwest::Client, String> {
    match builder(connect_timeout).build() {
        Ok(client) => Ok(client),
        Err(_) => build(builder(connect_timeout).tls_certs_only([])),
    }
}

/// As [`http_client`], with this trust and identity.
#[cfg(feature = "server")]
pub fn http_client_with_tls(
    connect_timeout: Duration,
    tls: rustls::ClientConfig,
) -> Result<reqwest::Client, String> {
    build(builder(connect_timeout).tls_backend_preconfigured(tls))
}

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, String> {
    builder.build().map_err(|error| format!("cannot set up the HTTP client: {error}"))
}

/// Redirects are not followed: no service of the stack sends any, and a token
/// must not follow a redirect to another host.
///
/// The proxies that the environment names are used, but never for loopback
/// addresses: a proxy cannot reach a service on this machine.
fn builder(connect_timeout: Duration) -> reqwest::ClientBuilder {
    let mut builder = reqwest::Client::builder();
    for proxy in proxies(|name| std::env::var(name).ok()) {
        builder = builder.proxy(proxy);
    }
    builder
        .connect_timeout(connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .pool_idle_timeout(IDLE)
        .tcp_nodelay(true)
}

const NEVER_PROXIED: &str = "localhost,127.0.0.0/8,::1";

/// The proxies of `http_proxy`, `https_proxy` and `all_proxy`, except for the
/// hosts of `no_proxy`; the variables may be in capitals. An invalid value
/// counts as unset.
fn proxies(env: impl Fn(&str) -> Option<String>) -> Vec<reqwest::Proxy> {
    let var = |name: &str| env(name).or_else(|| env(&name.to_uppercase())).filter(|value| !value.is_empty());
    let never = var("no_proxy").map_or(NEVER_PROXIED.to_owned(), |more| format!("{NEVER_PROXIED},{more}"));
    let never = reqwest::NoProxy::from_string(&never);
    let proxy = |name, make: fn(String) -> reqwest::Result<reqwest::Proxy>| {
        Some(make(var(name)?).ok()?.no_proxy(never.clone()))
    };
    let all = [
        proxy("http_proxy", reqwest::Proxy::http::<String>),
        proxy("https_proxy", reqwest::Proxy::https::<String>),
        proxy("all_proxy", reqwest::Proxy::all::<String>),
    ];
    all.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Answers one request with this text.
    async fn answer(listener: &TcpListener, text: &str) {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        assert_ne!(socket.read(&mut request).await.unwrap(), 0);
        let length = text.len();
        let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        socket.write_all(format!("{head}{text}").as_bytes()).await.unwrap();
    }

    #[tokio::test]
    async fn proxy_is_used_except_for_loopback() {
        let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy_url = format!("http://{}", proxy.local_addr().unwrap());
        let mut builder = reqwest::Client::builder();
        for proxy in proxies(|name| (name == "HTTP_PROXY").then(|| proxy_url.clone())) {
            builder = builder.proxy(proxy);
        }
        let http = builder.build().unwrap();
        let get = async |url: String| http.get(url).send().await.unwrap().text().await.unwrap();

        let port = service.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost"] {
            let (got, ()) = tokio::join!(get(format!("http://{host}:{port}")), answer(&service, "itself"));
            assert_eq!(got, "itself");
        }
        let (got, ()) = tokio::join!(get("http://service.example".into()), answer(&proxy, "proxy"));
        assert_eq!(got, "proxy");
        assert!(proxies(|_| None).is_empty());
    }
}
