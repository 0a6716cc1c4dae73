//! One port for one purpose, in every file.

use crate::harness::World;
use crate::{list, settings, text, word, yaml};

#[test]
fn every_file_says_the_same_ports() {
    let world = World::new();
    let defaults = settings(&world, &[], &[]);
    let port = |name: &str| {
        let address = word(&defaults, &format!("/listen/{name}"));
        address.rsplit_once(':').unwrap().1.to_owned()
    };
    let (grpc, http, metrics) = (port("grpc"), port("http"), port("metrics"));
    for file in ["container.yaml", "production.yaml"] {
        let settings = yaml(file);
        for (name, port) in [("grpc", &grpc), ("http", &http), ("metrics", &metrics)] {
            let address = word(&settings, &format!("/listen/{name}"));
            assert!(address.ends_with(&format!(":{port}")), "{file}: {address}");
        }
    }
    let compose = yaml("compose.yaml");
    let service = &compose["services"]["vecdb"];
    let published = list(service, "/ports");
    let expected = [&grpc, &http].map(|port| format!("127.0.0.1:{port}:{port}"));
    assert_eq!(*published, expected);
    let check = list(service, "/healthcheck/test").last().unwrap();
    assert_eq!(*check, format!("http://127.0.0.1:{grpc}"));
    let prometheus = yaml("prometheus/prometheus.yaml");
    let target = word(&prometheus, "/scrape_configs/0/static_configs/0/targets/0");
    assert_eq!(target, format!("vecdb:{metrics}"));

    let values = yaml("helm/vecdb/values.yaml");
    let value = |pointer: &str| values.pointer(pointer).unwrap().to_string();
    assert_eq!(value("/service/grpcPort"), grpc);
    assert_eq!(value("/service/httpPort"), http);
    assert_eq!(value("/metrics/port"), metrics);
    let settings = text("helm/vecdb/templates/_names.tpl");
    let pod = text("helm/vecdb/templates/statefulset.yaml");
    for (name, port) in [("grpc", &grpc), ("http", &http)] {
        let address = format!("\"{name}\" \"0.0.0.0:{port}\"");
        assert!(settings.contains(&address), "{address}");
        let container = format!("- name: {name}\n              containerPort: {port}\n");
        assert!(pod.contains(&container), "{container}");
    }
}
