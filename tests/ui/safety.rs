//! What must not happen: script from data, tokens in addresses, buttons for readers.

use jarvis_run_coordinator::types::RunId;
use serde_json::{Value, json};

use crate::{
    browser::Look,
    page::visit,
    support::{
        Signer, Sts, TestServer,
        sts::{claims, now},
    },
    world::{LISTEN, PARK, server},
};

const HOSTILE: [&str; 5] = [
    "<script>window.hit = 1</script>",
    "<img src=x onerror=window.hit=2>",
    "\"'><svg onload=window.hit=3>",
    "javascript:window.hit=4",
    "${window.hit=5}{{window.hit=6}}</textarea></title>",
];

#[tokio::test]
async fn hostile_names_and_inputs_are_text() {
    let t = server(&[]).await;
    let mut nodes = Vec::new();
    // Ids of runs have no such characters; everything else may have.
    for (number, text) in HOSTILE.into_iter().enumerate() {
        let node_type = json!({"node_type_id": format!("atomic.{text}"), "version": text});
        let request = json!({"run_id": format!("hostile-{number}"), "root_node_type_ref": node_type, "input": {text: [text]},
            "metadata": {"labels": {text: text}}, "extensions": {text: text}});
        let run = t.post("/v1/runs", &request).await.ok();
        t.run_ended(&RunId::new(format!("hostile-{number}"))).await;
        nodes.push(run["root_node_run_id"].as_str().expect("an id").to_owned());
    }
    visit("hostile", &t.operator_url(), Look::WIDE, async |page| {
        page.open("/runs").await;
        for text in HOSTILE {
            page.sees(text).await;
        }
        for (number, (text, node)) in HOSTILE.iter().zip(&nodes).enumerate() {
            for tab in ["tree", "events", "record"] {
                page.open(&format!("/runs/hostile-{number}?tab={tab}&node={node}")).await;
                page.until("its record", "return document.querySelector('.side pre')", &[]).await;
                page.sees(text).await;
            }
            // An address is what another person may have made.
            let made: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
            page.open(&format!("/runs/{}", made.replace('+', "%20"))).await;
            page.sees("This run does not exist").await;
            page.open(&format!("/runs?owner={made}&view={made}")).await;
            page.sees("No runs fit").await;
        }
        let found = "return [window.hit ?? null, document.querySelectorAll('img, iframe, object, [onload], [onerror]').length,
            document.scripts.length, [...document.links].filter((a) => !/^http:/.test(a.href)).length]";
        assert_eq!(page.browser.run(found, &[]).await, json!([null, 0, 2, 0]));
    })
    .await;
    t.stop().await;
}

/// The policy in the headers, not only the care of the page, keeps script away.
#[tokio::test]
async fn policy_stops_script_that_is_put_into_the_page() {
    let t = server(&[]).await;
    visit("policy", &t.operator_url(), Look::WIDE, async |page| {
        page.open("/runs").await;
        page.sees("No runs yet").await;
        let attempt = "
            const stopped = [];
            addEventListener('securitypolicyviolation', (event) => stopped.push(event.effectiveDirective));
            const script = document.createElement('script');
            try { script.textContent = 'window.hit = 1'; document.head.append(script); } catch { stopped.push('types'); }
            try { document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hit = 2\">'); } catch { stopped.push('types'); }
            const image = new Image();
            image.src = 'http://127.0.0.1:1/leak?token=1';
            document.body.append(image);
            window.stopped = stopped;
            return true";
        page.browser.run(attempt, &[]).await;
        page.until("the policy to act", "return window.stopped.length >= 3", &[]).await;
        assert_eq!(page.browser.run("return window.hit ?? null", &[]).await, Value::Null);
        let stopped = page.browser.run("return window.stopped", &[]).await;
        assert!(stopped.to_string().contains("img-src"), "{stopped}");
        let _expected = page.browser.complaints().await;
    })
    .await;
    t.stop().await;
}

async fn guarded(sts: &Sts) -> TestServer {
    let vars = sts.variables();
    let vars: Vec<(&str, &str)> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let more = [LISTEN, PARK, ("JARVIS_RUN_COORDINATOR_AUTHORIZATION", "tenant")];
    TestServer::start_with(&[&vars[..], &more[..]].concat()).await
}

fn token(subject: &str, roles: &[&str], expires: i64) -> String {
    let changes = json!({"sub": subject, "tenant_id": "acme", "roles": roles, "exp": expires});
    Signer::known().sign(&claims(&changes))
}

#[tokio::test]
async fn tokens_are_asked_for_and_are_in_no_address() {
    let sts = Sts::start();
    let t = guarded(&sts).await;
    let valid = token("alice", &[], now() + 300);
    visit("token", &t.operator_url(), Look::WIDE, async |page| {
        page.open("/runs?view=failed").await;
        page.sees("This coordinator asks for a token").await;
        page.fill("Token", &token("alice", &[], now() - 4000)).await;
        page.press("Sign in").await;
        page.sees("The token was not accepted").await;
        page.fill("Token", &valid).await;
        page.press("Sign in").await;
        page.sees("No runs fit").await;
        page.sees("alice").await;
        let address = page.browser.address().await;
        assert!(address.ends_with("#/runs?view=failed"), "the place is kept: {address}");
        // It outlives a reload, and is where no other tab and no server finds it.
        page.browser.reload().await;
        page.sees("No runs fit").await;
        let kept =
            "return [Object.keys(sessionStorage), Object.values(localStorage).join(' '), document.cookie]";
        let kept = page.browser.run(kept, &[]).await;
        assert_eq!(kept, json!([["arp.token"], "", ""]));
        let sent = "return performance.getEntriesByType('resource').map((entry) => entry.name)";
        let sent = page.browser.run(sent, &[]).await.to_string();
        assert!(sent.contains("/x/runs") && !sent.contains(&valid[..20]), "{sent}");
        // A token that is not valid any more, while the page is looked at.
        page.browser.run("sessionStorage.setItem('arp.token', 'expired'); return true", &[]).await;
        page.browser.reload().await;
        page.sees("The token was not accepted").await;
        assert_eq!(page.browser.run("return document.querySelector('#token').value", &[]).await, "");
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn readers_see_runs_and_no_buttons() {
    let sts = Sts::start();
    let t = guarded(&sts).await;
    let alice = token("alice", &[], now() + 300);
    let request = json!({"run_id": "hers", "root_node_type_ref": {"node_type_id": "atomic.echo", "version": "1.0.0"},
        "input": {}, "constraints": {"gates": {"require_approval": true}}});
    let started = t.request("POST", "/v1/runs").bearer_auth(&alice).json(&request);
    crate::support::Answer::of(started).await.ok();
    for (roles, may) in [(["arp.run.read"], false), (["arp.run.operate"], true)] {
        visit("readers", &t.operator_url(), Look::WIDE, async |page| {
            page.open("/approvals").await;
            page.fill("Token", &token("bob", &roles, now() + 300)).await;
            page.press("Sign in").await;
            page.texts_until("the approval", ".approval a", |runs| runs == ["hers"]).await;
            page.until("the caller", "return document.querySelector('.who')", &[]).await;
            if may {
                page.until("the buttons", "return document.querySelector('.approval .acts')", &[]).await;
            }
            assert_eq!(page.offers("Approve").await, may, "{roles:?}");
            assert_eq!(page.text().await.contains("Read only"), !may, "{roles:?}");
        })
        .await;
    }
    t.stop().await;
}
