//! How often clients may ask.
//!
//! - [`bucket`]: a token bucket as one number. Pure.
//! - [`local`]: buckets in memory, bounded.
//! - [`remote`]: buckets on a Redis server.
//!
//! All rules that match count. The answer's `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers,
//! version 10) tell of the tightest.

pub mod bucket;
pub mod local;
pub mod remote;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use prometheus::IntCounter;

use crate::config::edge::{Buckets, RateKey, RateRule};
use crate::error::Cause;
use crate::metrics::Metrics;
use bucket::{Bucket, Standing};
use local::Local;
use remote::{Gone, Remote};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The limiter of one gateway thread.
#[derive(Debug)]
pub struct Limiter {
    local: Arc<Local>,
    remote: Option<Remote>,
    fallbacks: IntCounter,
}

/// What the limits say of a request.
#[derive(Debug, Clone, Copy)]
pub struct Verdict<'a> {
    rule: &'a RateRule,
    number: usize,
    standing: Standing,
}

impl Limiter {
    /// Counts in `local`, or on the Redis server that `buckets` name. Must be called on a gateway thread.
    pub fn new(local: Arc<Local>, buckets: &Buckets, metrics: &Metrics) -> Self {
        let connected = metrics.rate_limit_connections.clone();
        let remote = buckets.redis.as_deref().and_then(|url| Remote::new(url, buckets, connected).ok());
        Self { local, remote, fallbacks: metrics.rate_limit_fallbacks.clone() }
    }

    /// Counts a request under all rules that it falls under, until one refuses it; the tightest of them.
    pub async fn count<'a>(
        &self,
        rules: &'a [RateRule],
        client_ip: IpAddr,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Option<Verdict<'a>> {
        let mut tightest: Option<Verdict<'a>> = None;
        for (number, rule) in rules.iter().enumerate() {
            let falls_under = rule.methods.is_empty() || rule.methods.contains(method);
            if !falls_under || rule.path.find(path).is_none() {
                continue;
            }
            let bucket = Bucket::new(rule.limit, micros(rule.window), rule.burst);
            let client = client(&rule.key, client_ip, headers);
            let standing = self.take(number, rule, &client, bucket).await;
            let verdict = Verdict { rule, number, standing };
            if !standing.allowed {
                return Some(verdict);
            }
            if tightest.is_none_or(|tightest| standing.remaining < tightest.standing.remaining) {
                tightest = Some(verdict);
            }
        }
        tightest
    }

    async fn take(&self, number: usize, rule: &RateRule, client: &[u8], bucket: Bucket) -> Standing {
        if let Some(remote) = &self.remote {
            match remote.take(&rule.id, client, bucket).await {
                Ok(standing) => return standing,
                Err(Gone) => self.fallbacks.inc(),
            }
        }
        self.local.take(number, client, bucket)
    }
}

/// Who a client is: values are told apart from addresses by their first byte.
fn client<'a>(key: &RateKey, ip: IpAddr, headers: &'a HeaderMap) -> Cow<'a, [u8]> {
    let value = match key {
        RateKey::Ip => None,
        RateKey::Header(name) => headers.get(name).map(|value| value.as_bytes()),
        RateKey::Cookie(name) => cookie(headers, name),
    };
    match (value, ip) {
        (Some(value), _) if !value.is_empty() => [b"=", value].concat().into(),
        (_, IpAddr::V4(ip)) => ip.octets().to_vec().into(),
        // Providers hand out whole networks: one household is one client.
        (_, IpAddr::V6(ip)) => ip.octets()[..8].to_vec().into(),
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let fields = headers.get_all(header::COOKIE).filter_map(|value| value.to_str().ok());
    let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().as_bytes())
}

impl Verdict<'_> {
    /// The answer, if the request is refused.
    pub fn refusal(&self, headers: &HeaderMap) -> Option<HttpResponse> {
        if self.standing.allowed {
            return None;
        }
        let mut response = Cause::RateLimited.response(headers);
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds(self.standing.retry).max(1)));
        Some(response)
    }

    /// Tells the client how it stands.
    pub fn add_to(&self, headers: &mut HeaderMap) {
        let (name, rule, standing) = (self.number + 1, self.rule, self.standing);
        let window = seconds(micros(rule.window));
        let policy = format!("\"rule-{name}\";q={};w={window}", rule.limit);
        let stands = format!("\"rule-{name}\";r={};t={}", standing.remaining, seconds(standing.reset));
        for (name, text) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, stands)] {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(name, value);
            }
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Rounded up: who comes back when the seconds are over is not too early, and no promise is larger than the limit.
fn seconds(micros: u64) -> u64 {
    micros.div_ceil(1_000_000)
}

#[cfg(test)]
mod tests {
    use shared::route::{Pattern, Policy, TreeBuilder};

    use super::*;

    fn rule(path: &str, key: RateKey, limit: u32) -> RateRule {
        let mut tree = TreeBuilder::new(Policy::default());
        tree.insert(Pattern::parse(path).unwrap(), ()).unwrap();
        let window = Duration::from_secs(60);
        RateRule { id: path.into(), path: tree.build(), methods: vec![], key, limit, window, burst: limit }
    }

    fn limiter() -> Limiter {
        let buckets =
            Buckets { most: 100, redis: None, redis_ca: None, redis_timeout: Duration::from_millis(50) };
        Limiter::new(Arc::new(Local::new(100)), &buckets, &Metrics::new().unwrap())
    }

    async fn asked<'a>(
        limiter: &Limiter,
        rules: &'a [RateRule],
        ip: &str,
        path: &str,
        field: (&'static str, &'static str),
    ) -> Option<Verdict<'a>> {
        let mut headers = HeaderMap::new();
        headers.insert(field.0.parse().unwrap(), HeaderValue::from_static(field.1));
        limiter.count(rules, ip.parse().unwrap(), &Method::GET, path, &headers).await
    }

    const NONE: (&str, &str) = ("accept", "*/*");

    #[actix_web::test]
    async fn the_tightest_rule_is_told_and_refuses() {
        let rules = [rule("/$", RateKey::Ip, 10), rule("/api/$", RateKey::Ip, 2)];
        let limiter = limiter();
        assert_eq!(asked(&limiter, &rules, "192.0.2.1", "/page", NONE).await.unwrap().number, 0);
        for remaining in [1, 0] {
            let verdict = asked(&limiter, &rules, "192.0.2.1", "/api/a", NONE).await.unwrap();
            assert_eq!((verdict.number, verdict.standing.remaining), (1, remaining));
            assert!(verdict.refusal(&HeaderMap::new()).is_none());
        }
        let verdict = asked(&limiter, &rules, "192.0.2.1", "/api/a", NONE).await.unwrap();
        let refusal = verdict.refusal(&HeaderMap::new()).unwrap();
        assert_eq!(refusal.status(), 429);
        assert_eq!(refusal.headers().get("retry-after").unwrap(), "30");
        let mut headers = HeaderMap::new();
        verdict.add_to(&mut headers);
        assert_eq!(headers.get("ratelimit-policy").unwrap(), "\"rule-2\";q=2;w=60");
        assert_eq!(headers.get("ratelimit").unwrap(), "\"rule-2\";r=0;t=60");
        assert!(asked(&limiter, &rules, "192.0.2.2", "/api/a", NONE).await.unwrap().standing.allowed);
    }

    #[actix_web::test]
    async fn a_part_of_a_second_counts_as_a_whole_one() {
        for (window, limit, told) in [(1500, 1, [2, 2, 2]), (1900, 2, [2, 1, 2]), (1000, 1, [1, 1, 1])] {
            let window = Duration::from_millis(window);
            let rules = [RateRule { window, burst: limit, ..rule("/$", RateKey::Ip, limit) }];
            let limiter = limiter();
            for _ in 0..limit {
                assert!(asked(&limiter, &rules, "192.0.2.1", "/", NONE).await.unwrap().standing.allowed);
            }
            let verdict = asked(&limiter, &rules, "192.0.2.1", "/", NONE).await.unwrap();
            let refusal = verdict.refusal(&HeaderMap::new()).unwrap();
            let mut headers = HeaderMap::new();
            verdict.add_to(&mut headers);
            let field =
                |headers: &HeaderMap, name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
            let [w, retry, t] = told;
            assert_eq!(
                field(&headers, "ratelimit-policy"),
                format!("\"rule-1\";q={limit};w={w}"),
                "{window:?}"
            );
            assert_eq!(field(refusal.headers(), "retry-after"), retry.to_string(), "{window:?}");
            assert_eq!(field(&headers, "ratelimit"), format!("\"rule-1\";r=0;t={t}"), "{window:?}");
        }
    }

    #[actix_web::test]
    async fn clients_are_told_apart_by_their_key() {
        let header = RateKey::Header(HeaderName::from_static("x-key"));
        for (key, mine, yours) in [
            (header, ("x-key", "a"), ("x-key", "b")),
            (RateKey::Cookie("id".into()), ("cookie", "x=1; id=a"), ("cookie", "id=b")),
        ] {
            let (rules, limiter) = ([rule("/$", key, 1)], limiter());
            assert!(asked(&limiter, &rules, "192.0.2.1", "/", mine).await.unwrap().standing.allowed);
            assert!(!asked(&limiter, &rules, "192.0.2.9", "/", mine).await.unwrap().standing.allowed);
            assert!(asked(&limiter, &rules, "192.0.2.1", "/", yours).await.unwrap().standing.allowed);
            assert!(asked(&limiter, &rules, "192.0.2.1", "/", NONE).await.unwrap().standing.allowed);
            assert!(!asked(&limiter, &rules, "192.0.2.1", "/", NONE).await.unwrap().standing.allowed);
        }
        let (rules, limiter) = ([rule("/$", RateKey::Ip, 1)], limiter());
        assert!(asked(&limiter, &rules, "2001:db8::1", "/", NONE).await.unwrap().standing.allowed);
        assert!(!asked(&limiter, &rules, "2001:db8::2", "/", NONE).await.unwrap().standing.allowed);
        assert!(asked(&limiter, &rules, "2001:db8:0:1::1", "/", NONE).await.unwrap().standing.allowed);
    }
}
