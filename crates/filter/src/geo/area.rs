//! Areas: circles and boxes.

use super::{GeoPoint, LATITUDE_MAX, LONGITUDE_MAX, STEPS};
use crate::error::excerpt;
use serde_json::{Value as Json, json};

/// Mean radius of the earth in metres (IUGG).
const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// Half the way around the earth: no two points are farther apart.
const HALF_WAY_M: f64 = 20_015_115.0;

/// An area on the earth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GeoArea {
    /// All points at most so far from the centre, along the surface of a sphere.
    Circle {
        /// The centre.
        center: GeoPoint,
        /// Metres.
        radius_m: f64,
    },
    /// All points between two parallels and two meridians, edges included. With `south_west` east of
    /// `north_east` it reaches across the 180th meridian.
    Box {
        /// The corner of the least latitude.
        south_west: GeoPoint,
        /// The corner of the greatest latitude.
        north_east: GeoPoint,
    },
}

/// Steps of latitude and longitude, both ends included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) south: i32,
    pub(crate) north: i32,
    pub(crate) west: i32,
    pub(crate) east: i32,
}

impl GeoArea {
    /// A circle.
    ///
    /// # Errors
    /// What is wrong with the radius: it must be a number of metres, not negative.
    pub fn circle(center: GeoPoint, radius_m: f64) -> Result<GeoArea, String> {
        if radius_m.is_finite() && radius_m >= 0.0 {
            Ok(GeoArea::Circle { center, radius_m })
        } else {
            Err(format!(
                "radius_m {radius_m} is not a number of metres from 0 up"
            ))
        }
    }

    /// A box between two corners.
    ///
    /// # Errors
    /// Where the south-west corner lies north of the other.
    pub fn bounds(south_west: GeoPoint, north_east: GeoPoint) -> Result<GeoArea, String> {
        if south_west.latitude <= north_east.latitude {
            Ok(GeoArea::Box {
                south_west,
                north_east,
            })
        } else {
            Err(format!(
                "south {} lies north of north {}",
                south_west.latitude(),
                north_east.latitude()
            ))
        }
    }

    /// Whether a point lies in the area.
    pub fn contains(&self, point: GeoPoint) -> bool {
        match self {
            GeoArea::Circle { center, radius_m } => distance_m(*center, point) <= *radius_m,
            GeoArea::Box {
                south_west,
                north_east,
            } => {
                let (west, east) = (south_west.longitude, north_east.longitude);
                let east_west = if west <= east {
                    (west..=east).contains(&point.longitude)
                } else {
                    point.longitude >= west || point.longitude <= east
                };
                east_west && (south_west.latitude..=north_east.latitude).contains(&point.latitude)
            }
        }
    }

    /// Boxes that do not reach across the 180th meridian and hold all points of the area.
    pub(crate) fn extents(&self) -> Vec<Extent> {
        match self {
            GeoArea::Circle { center, radius_m } => circle_extents(*center, *radius_m),
            GeoArea::Box {
                south_west,
                north_east,
            } => between(
                south_west.latitude,
                north_east.latitude,
                south_west.longitude,
                north_east.longitude,
            ),
        }
    }

    /// Reads `{"center": {"lat": .., "lon": ..}, "radius_m": ..}` or `{"south": .., "west": .., "north": ..,
    /// "east": ..}`.
    pub(crate) fn of_json(json: &Json) -> Result<GeoArea, String> {
        let forms = || {
            format!(
                "{{\"center\": {{\"lat\": 52.5, \"lon\": 13.4}}, \"radius_m\": 1000}} or \
                 {{\"south\": 52, \"west\": 13, \"north\": 53, \"east\": 14}}, not {}",
                excerpt(&json.to_string())
            )
        };
        let object = json.as_object().ok_or_else(forms)?;
        let number = |name: &str| object.get(name).and_then(Json::as_f64).ok_or_else(forms);
        if object.len() == 2 {
            let center = object.get("center").and_then(GeoPoint::of_json);
            return GeoArea::circle(center.ok_or_else(forms)??, number("radius_m")?);
        }
        if object.len() != 4 {
            return Err(forms());
        }
        GeoArea::bounds(
            GeoPoint::new(number("south")?, number("west")?)?,
            GeoPoint::new(number("north")?, number("east")?)?,
        )
    }

    /// What [`Self::of_json`] reads.
    pub(crate) fn to_json(self) -> Json {
        match self {
            GeoArea::Circle { center, radius_m } => {
                json!({"center": center.to_json(), "radius_m": radius_m})
            }
            GeoArea::Box {
                south_west,
                north_east,
            } => json!({
                "south": south_west.latitude(),
                "west": south_west.longitude(),
                "north": north_east.latitude(),
                "east": north_east.longitude(),
            }),
        }
    }
}

/// Metres between two points on a sphere: the haversine formula (Sinnott, "Virtues of the haversine", 1984).
fn distance_m(a: GeoPoint, b: GeoPoint) -> f64 {
    let (lat_a, lat_b) = (a.latitude().to_radians(), b.latitude().to_radians());
    let half_lat = (lat_b - lat_a) / 2.0;
    let half_lon = (b.longitude() - a.longitude()).to_radians() / 2.0;
    let chord = half_lat.sin().powi(2) + lat_a.cos() * lat_b.cos() * half_lon.sin().powi(2);
    2.0 * EARTH_RADIUS_M * chord.sqrt().min(1.0).asin()
}

fn circle_extents(center: GeoPoint, radius_m: f64) -> Vec<Extent> {
    /// More than rounding can take away.
    const MARGIN: f64 = 1e-6;
    let whole = || between(-LATITUDE_MAX, LATITUDE_MAX, -LONGITUDE_MAX, LONGITUDE_MAX);
    if radius_m >= HALF_WAY_M {
        return whole();
    }
    let angle = radius_m / EARTH_RADIUS_M;
    let steps = |degrees: f64| (degrees * STEPS) as i32;
    let reach = angle.to_degrees() + MARGIN;
    let (south, north) = (center.latitude() - reach, center.latitude() + reach);
    let latitudes = (steps(south.max(-90.0)), steps(north.min(90.0)));
    if south <= -90.0 || north >= 90.0 {
        return between(latitudes.0, latitudes.1, -LONGITUDE_MAX, LONGITUDE_MAX);
    }
    // The widest parallel is not the centre's: there the meridians touch the circle.
    let sine = angle.sin() / center.latitude().to_radians().cos();
    if sine >= 1.0 || angle >= std::f64::consts::FRAC_PI_2 {
        return between(latitudes.0, latitudes.1, -LONGITUDE_MAX, LONGITUDE_MAX);
    }
    let reach = sine.asin().to_degrees() + MARGIN;
    let (mut west, mut east) = (center.longitude() - reach, center.longitude() + reach);
    if east - west >= 360.0 {
        (west, east) = (-180.0, 180.0);
    } else if west < -180.0 {
        west += 360.0;
    } else if east > 180.0 {
        east -= 360.0;
    }
    between(latitudes.0, latitudes.1, steps(west), steps(east))
}

fn between(south: i32, north: i32, west: i32, east: i32) -> Vec<Extent> {
    let extent = |west, east| Extent {
        south,
        north,
        west,
        east,
    };
    if west <= east {
        vec![extent(west, east)]
    } else {
        vec![extent(west, LONGITUDE_MAX), extent(-LONGITUDE_MAX, east)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(latitude: f64, longitude: f64) -> GeoPoint {
        GeoPoint::new(latitude, longitude).unwrap()
    }

    #[test]
    fn known_distances() {
        let berlin = point(52.520_008, 13.404_954);
        let sydney = point(-33.868_8, 151.209_3);
        let metres = distance_m(berlin, sydney);
        assert!((16_090_000.0..16_110_000.0).contains(&metres), "{metres}");
        let quarter = distance_m(point(0.0, 0.0), point(90.0, 0.0));
        assert!((quarter - 10_007_557.0).abs() < 10.0, "{quarter}");
        assert!(distance_m(point(0.0, 179.9), point(0.0, -179.9)) < 23_000.0);
    }

    #[test]
    fn boxes_reach_across_the_180th_meridian() {
        let fiji = GeoArea::bounds(point(-20.0, 177.0), point(-15.0, -178.0)).unwrap();
        assert!(fiji.contains(point(-17.0, 179.0)) && fiji.contains(point(-17.0, -179.0)));
        assert!(!fiji.contains(point(-17.0, 0.0)) && !fiji.contains(point(-14.0, 179.0)));
        assert!(GeoArea::bounds(point(1.0, 0.0), point(0.0, 1.0)).is_err());
        assert!(GeoArea::circle(point(0.0, 0.0), -1.0).is_err());
    }

    #[test]
    fn json_round_trip() {
        for json in [
            json!({"center": {"lat": 52.5, "lon": 13.25}, "radius_m": 1500.0}),
            json!({"south": -1.5, "west": 170.0, "north": 2.0, "east": -170.0}),
        ] {
            assert_eq!(GeoArea::of_json(&json).unwrap().to_json(), json);
        }
        for (json, expected) in [
            (json!(5), "not 5"),
            (
                json!({"center": {"lat": 95, "lon": 0}, "radius_m": 1}),
                "latitude 95",
            ),
            (
                json!({"center": {"lat": 5, "lon": 0}, "radius": 1}),
                "radius_m",
            ),
            (
                json!({"south": 2, "west": 0, "north": 1, "east": 1}),
                "lies north",
            ),
        ] {
            let error = GeoArea::of_json(&json).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
