//! The location that VECDB_TEST_LOCATION names, such as s3://bucket/prefix on a local S3 server, with its AWS_* variables.
//! Built with the feature `test-location` alone; the location must be empty.

mod exercise;

#[test]
fn the_location_holds_snapshots() {
    let location = std::env::var("VECDB_TEST_LOCATION").expect("VECDB_TEST_LOCATION is set");
    exercise::exercise(&location);
}
