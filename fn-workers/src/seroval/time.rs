//! Dates as JavaScript writes them (ECMA-262, 21.4.1.32): `2026-01-31T12:00:00.000Z`, and years beyond 0 to 9999
//! with a sign and six digits.

use std::fmt;

/// The milliseconds from 1970 to the first and last date (ECMA-262, 21.4.1.1).
pub(super) const MAX_MILLIS: u64 = 8_640_000_000_000_000;

const DAY_MILLIS: i64 = 86_400_000;

/// Days from 1970-01-01 to this date of the Gregorian calendar, by eras of 400 years (146,097 days) that begin in
/// March, so that the leap day is a year's last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

/// The date of a day: year, month, day.
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * of_era + of_era / 4 - of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (era * 400 + of_era + i64::from(month <= 2), month, day)
}

/// Writes milliseconds since 1970 as `toISOString` does.
pub(super) fn write(f: &mut fmt::Formatter<'_>, millis: i64) -> fmt::Result {
    let (year, month, day) = date(millis.div_euclid(DAY_MILLIS));
    let of_day = millis.rem_euclid(DAY_MILLIS);
    match year {
        0..=9999 => write!(f, "{year:04}")?,
        _ => write!(f, "{year:+07}")?,
    }
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    write!(f, "-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.{:03}Z", of_day / 1000 % 60, of_day % 1000)
}

/// Reads what [`write`] writes, and RFC 3339 in UTC with fewer or more digits of a second.
pub(super) fn parse(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z')?;
    let (date, time) = text.split_once('T')?;
    let (sign, date) = match date.as_bytes().first()? {
        b'-' => (-1, &date[1..]),
        b'+' => (1, &date[1..]),
        _ => (1, date),
    };
    let mut date = date.split('-');
    let (year, month, day) = (number(date.next()?)?, number(date.next()?)?, number(date.next()?)?);
    let mut time = time.split(':');
    let (hour, minute) = (number(time.next()?)?, number(time.next()?)?);
    let seconds = time.next()?;
    let (second, fraction) = match seconds.split_once('.') {
        Some((second, fraction)) => (number(second)?, number(format!("{fraction:0<3}").get(..3)?)?),
        None => (number(seconds)?, 0),
    };
    let in_range =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour <= 23 && minute <= 59 && second <= 59;
    if !in_range || date.next().is_some() || time.next().is_some() {
        return None;
    }
    let of_day = (hour * 60 + minute) * 60 + second;
    Some(days(sign * year, month, day) * DAY_MILLIS + of_day * 1000 + fraction)
}

fn number(digits: &str) -> Option<i64> {
    let plain = (1..=6).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Date;
    use super::*;

    #[test]
    fn the_corners_of_the_calendar() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (-62_167_219_200_001, "-000001-12-31T23:59:59.999Z"),
            (8_640_000_000_000_000, "+275760-09-13T00:00:00.000Z"),
            (-8_640_000_000_000_000, "-271821-04-20T00:00:00.000Z"),
        ] {
            assert_eq!(Date::from_millis(millis).to_string(), text);
            assert_eq!(parse(text), Some(millis));
        }
        assert_eq!(Date::from_millis(8_640_000_000_000_001), Date::INVALID);
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "Z",
            "2026-01-01",
            "2026-13-01T00:00:00.000Z",
            "2026-01-01T24:00:00.000Z",
            "2026-01-01T00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("1970-01-01T00:00:00.5Z"), Some(500));
        assert_eq!(parse("1970-01-01T00:00:01.0004Z"), Some(1000));
    }

    proptest! {
        #[test]
        fn every_millisecond_comes_back(millis in -8_640_000_000_000_000i64..=8_640_000_000_000_000) {
            prop_assert_eq!(parse(&Date::from_millis(millis).to_string()), Some(millis));
        }
    }
}
