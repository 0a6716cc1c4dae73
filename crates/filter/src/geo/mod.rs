//! Points on the earth and areas that hold them.
//!
//! A point is kept in steps of 10^-7 degrees (about a centimetre), so that it is a pair of integers: what an index
//! stores is the point itself, and the index decides exactly as the row-by-row oracle does.

mod area;
mod cover;

pub use area::GeoArea;
pub(crate) use cover::cover;

use crate::error::excerpt;
use serde_json::Value as Json;

/// Steps of a degree.
const STEPS: f64 = 1e7;
const LATITUDE_MAX: i32 = 900_000_000;
const LONGITUDE_MAX: i32 = 1_800_000_000;
const SIGN: u32 = 1 << 31;

/// A point on the earth: degrees north and east, in steps of 10^-7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GeoPoint {
    latitude: i32,
    longitude: i32,
}

impl GeoPoint {
    /// The point at these degrees, rounded to the nearest step.
    ///
    /// # Errors
    /// What is wrong where a latitude is not within -90 to 90 or a longitude not within -180 to 180.
    pub fn new(latitude: f64, longitude: f64) -> Result<GeoPoint, String> {
        let within = |name: &str, degrees: f64, most: f64| {
            if degrees.abs() <= most {
                Ok((degrees * STEPS).round() as i32)
            } else {
                Err(format!(
                    "{name} {degrees} is not between -{most} and {most} degrees"
                ))
            }
        };
        Ok(GeoPoint {
            latitude: within("latitude", latitude, 90.0)?,
            longitude: within("longitude", longitude, 180.0)?,
        })
    }

    /// Degrees north.
    pub fn latitude(self) -> f64 {
        f64::from(self.latitude) / STEPS
    }

    /// Degrees east.
    pub fn longitude(self) -> f64 {
        f64::from(self.longitude) / STEPS
    }

    /// The stored form: steps north and east.
    pub(crate) fn steps(self) -> (i32, i32) {
        (self.latitude, self.longitude)
    }

    /// From the stored form; none outside the globe.
    pub(crate) fn from_steps(latitude: i32, longitude: i32) -> Option<GeoPoint> {
        let valid = (-LATITUDE_MAX..=LATITUDE_MAX).contains(&latitude)
            && (-LONGITUDE_MAX..=LONGITUDE_MAX).contains(&longitude);
        valid.then_some(GeoPoint {
            latitude,
            longitude,
        })
    }

    /// The bits of latitude and longitude, taken in turns (Morton, 1966): near points mostly have near keys.
    pub(crate) fn key(self) -> u64 {
        spread(self.latitude as u32 ^ SIGN) << 1 | spread(self.longitude as u32 ^ SIGN)
    }

    /// The point of a key; none for keys that no point has.
    pub(crate) fn of_key(key: u64) -> Option<GeoPoint> {
        let latitude = (gather(key >> 1) ^ SIGN) as i32;
        let longitude = (gather(key) ^ SIGN) as i32;
        GeoPoint::from_steps(latitude, longitude)
    }

    /// The point that `{"lat": .., "lon": ..}` stands for; none for other objects.
    pub(crate) fn of_json(json: &Json) -> Option<Result<GeoPoint, String>> {
        let object = json.as_object().filter(|object| object.len() == 2)?;
        let (latitude, longitude) = (object.get("lat")?, object.get("lon")?);
        Some(match (latitude.as_f64(), longitude.as_f64()) {
            (Some(latitude), Some(longitude)) => GeoPoint::new(latitude, longitude),
            _ => Err(format!(
                "lat and lon are numbers of degrees, not {}",
                excerpt(&json.to_string())
            )),
        })
    }

    /// `{"lat": .., "lon": ..}`.
    pub(crate) fn to_json(self) -> Json {
        serde_json::json!({"lat": self.latitude(), "lon": self.longitude()})
    }
}

/// The bits of a number on the even places.
fn spread(bits: u32) -> u64 {
    let mut x = u64::from(bits);
    x = (x | x << 16) & 0x0000_ffff_0000_ffff;
    x = (x | x << 8) & 0x00ff_00ff_00ff_00ff;
    x = (x | x << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    x = (x | x << 2) & 0x3333_3333_3333_3333;
    (x | x << 1) & 0x5555_5555_5555_5555
}

/// The bits on the even places as a number.
fn gather(key: u64) -> u32 {
    let mut x = key & 0x5555_5555_5555_5555;
    x = (x | x >> 1) & 0x3333_3333_3333_3333;
    x = (x | x >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    x = (x | x >> 4) & 0x00ff_00ff_00ff_00ff;
    x = (x | x >> 8) & 0x0000_ffff_0000_ffff;
    (x | x >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hold_the_point() {
        for (latitude, longitude) in [
            (0.0, 0.0),
            (90.0, 180.0),
            (-90.0, -180.0),
            (52.520_008, 13.404_954),
            (-33.868_8, 151.209_3),
        ] {
            let point = GeoPoint::new(latitude, longitude).unwrap();
            assert_eq!(GeoPoint::of_key(point.key()), Some(point));
            assert!((point.latitude() - latitude).abs() < 1e-7);
            assert!((point.longitude() - longitude).abs() < 1e-7);
        }
        assert_eq!(GeoPoint::of_key(u64::MAX), None);
        assert!(
            GeoPoint::new(90.5, 0.0)
                .unwrap_err()
                .contains("latitude 90.5")
        );
        assert!(GeoPoint::new(0.0, f64::NAN).is_err());
    }
}
