//! The text of a client's address, without an allocation: every page needs it.

use std::fmt::{self, Write};
use std::net::IpAddr;

/// The longest text of an address: `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`.
const MOST_BYTES: usize = 45;

/// An address as text.
#[derive(Clone, Copy)]
pub struct AddressText {
    bytes: [u8; MOST_BYTES],
    length: usize,
}

impl AddressText {
    /// The text of this address.
    pub fn of(address: IpAddr) -> Self {
        let mut text = Self { bytes: [0; MOST_BYTES], length: 0 };
        match address {
            IpAddr::V4(address) => {
                for (at, octet) in address.octets().into_iter().enumerate() {
                    if at > 0 {
                        text.push(b'.');
                    }
                    text.push_number(octet);
                }
            }
            // There is room for every address.
            IpAddr::V6(address) => drop(write!(text, "{address}")),
        }
        text
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    fn push_number(&mut self, number: u8) {
        if number >= 100 {
            self.push(b'0' + number / 100);
        }
        if number >= 10 {
            self.push(b'0' + number / 10 % 10);
        }
        self.push(b'0' + number % 10);
    }
}

impl Write for AddressText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

impl fmt::Debug for AddressText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_they_are_shown() {
        let long = "abcd:abcd:abcd:abcd:abcd:abcd:abcd:abcd";
        let texts = ["0.0.0.0", "127.0.0.1", "255.100.10.9", "203.0.113.99", "::1", "2001:db8::7", long];
        for text in texts.into_iter().chain(["::ffff:255.255.255.255"]) {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(AddressText::of(address).as_str(), address.to_string());
        }
        for number in 0..=255 {
            let address = IpAddr::from([number, 1, 2, number]);
            assert_eq!(AddressText::of(address).as_str(), address.to_string());
        }
    }
}
