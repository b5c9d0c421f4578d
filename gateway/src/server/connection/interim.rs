//! Interim responses: what is sent before a response, while it is made (RFC 9110 section 15.2).
//!
//! Neither actix-web nor actix-http has them. On HTTP/1.1 they are written beneath actix-http, by the guarded connection,
//! when everything of earlier responses has left ([`ConnectionState::write_ahead`]). On HTTP/2 they are frames of the
//! request's stream.

use std::rc::Rc;

use actix_web::HttpMessage;
use actix_web::dev::ServiceRequest;
use actix_web::http::Version;

use super::ConnectionState;
use crate::middleware::exchange::Exchange;
use crate::server::http2::stream::Respond;

/// The way to a client that waits for its response.
#[derive(Debug, Clone)]
pub enum Interim {
    /// Over HTTP/1.1.
    Http1(Rc<ConnectionState>),
    /// Over HTTP/2.
    Http2(Respond),
}

impl Interim {
    /// The way to the client of a request; `None` for HTTP/1.0, which has no interim responses.
    pub fn of(request: &ServiceRequest, exchange: &Exchange) -> Option<Self> {
        match request.version() {
            Version::HTTP_2 => request.extensions().get::<Respond>().cloned().map(Self::Http2),
            Version::HTTP_11 => exchange.connection.clone().map(Self::Http1),
            _ => None,
        }
    }

    /// Sends 103 (Early Hints, RFC 8297) with these values of `Link`. Says whether it could be sent.
    pub fn early_hints<'a>(&self, links: impl Iterator<Item = &'a str>) -> bool {
        match self {
            Self::Http1(connection) => {
                let mut interim = b"HTTP/1.1 103 Early Hints\r\n".to_vec();
                for link in links {
                    interim.extend_from_slice(b"link: ");
                    interim.extend_from_slice(link.as_bytes());
                    interim.extend_from_slice(b"\r\n");
                }
                interim.extend_from_slice(b"\r\n");
                connection.write_ahead(&interim)
            }
            Self::Http2(respond) => {
                let mut interim = http::Response::new(());
                *interim.status_mut() = http::StatusCode::EARLY_HINTS;
                let values = links.filter_map(|link| http::HeaderValue::from_str(link).ok());
                interim.headers_mut().extend(values.map(|value| (http::header::LINK, value)));
                respond.borrow_mut().send_informational(interim).is_ok()
            }
        }
    }
}
