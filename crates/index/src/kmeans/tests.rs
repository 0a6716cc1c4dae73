use super::*;
use vecdb_testkit::synthetic::ClusteredGaussian;

fn options(threads: usize) -> BuildOptions<'static> {
    BuildOptions {
        threads,
        ..BuildOptions::default()
    }
}

fn clustered(rows: u32, dim: usize, clusters: usize, spread: f32) -> Vec<f32> {
    let source = ClusteredGaussian {
        rows,
        dim,
        clusters,
        spread,
        seed: 5,
    };
    source.generate()
}

/// Mean squared distance to the nearest centroid, in double precision.
fn objective(centroids: &Centroids, vectors: &[f32]) -> f64 {
    let dim = centroids.dim();
    let nearest = |vector: &[f32]| {
        let distance = |centroid: &[f32]| -> f64 {
            let pairs = vector.iter().zip(centroid);
            pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum()
        };
        let all = centroids.values().chunks_exact(dim).map(distance);
        all.fold(f64::INFINITY, f64::min)
    };
    let count = vectors.len() / dim;
    vectors.chunks_exact(dim).map(nearest).sum::<f64>() / count as f64
}

fn sizes(centroids: &Centroids, vectors: &[f32]) -> Vec<usize> {
    let mut nearest = Vec::new();
    assign(centroids, vectors, &mut nearest, &options(1)).unwrap();
    let mut sizes = vec![0; centroids.len()];
    nearest.iter().for_each(|n| sizes[n.centroid as usize] += 1);
    sizes
}

#[test]
fn finds_clusters_that_lie_apart() {
    let vectors = clustered(4_000, 12, 20, 0.02);
    for seeding in [Seeding::PlusPlus, Seeding::Auto] {
        let params = KMeansParams {
            seeding,
            ..KMeansParams::new(20)
        };
        let found = train(12, vectors.clone(), &params, &options(2)).unwrap();
        let objective = objective(&found.centroids, &vectors);
        // The spread is 0.02 in each of 12 dimensions.
        assert!(
            objective < 2.0 * 12.0 * 0.02 * 0.02,
            "{seeding:?}: {objective}"
        );
        assert!(found.report.converged, "{:?}", found.report);
        let last = *found.report.objectives.last().unwrap();
        assert!(
            (last - objective).abs() < 0.01 * objective + 1e-9,
            "{last} is not {objective}"
        );
    }
}

#[test]
fn the_objective_falls_and_many_clusters_start_well() {
    let vectors = clustered(20_000, 16, 300, 0.3);
    let train_from = |seeding| {
        let params = KMeansParams {
            seeding,
            tolerance: 0.0,
            iterations: 12,
            ..KMeansParams::new(200)
        };
        train(16, vectors.clone(), &params, &options(2)).unwrap()
    };
    let (random, scalable) = (train_from(Seeding::Random), train_from(Seeding::PlusPlus));
    for found in [&random, &scalable] {
        let objectives = &found.report.objectives;
        assert_eq!(objectives.len(), 12);
        let falls = objectives
            .windows(2)
            .all(|pair| pair[1] <= pair[0] * 1.0001);
        assert!(falls || found.report.repaired > 0, "{objectives:?}");
    }
    let (first_random, first_scalable) =
        (random.report.objectives[0], scalable.report.objectives[0]);
    assert!(
        first_scalable < first_random,
        "k-means|| starts at {first_scalable}, chance at {first_random}"
    );
    assert!(
        objective(&scalable.centroids, &vectors) <= 1.02 * objective(&random.centroids, &vectors)
    );
}

#[test]
fn threads_do_not_change_a_bit() {
    let vectors = clustered(9_000, 24, 30, 0.5);
    for params in [
        KMeansParams::new(100),
        KMeansParams {
            batch: Some(2_000),
            seeding: Seeding::PlusPlus,
            size_ratio_max: Some(1.5),
            ..KMeansParams::new(70)
        },
    ] {
        let one = train(24, vectors.clone(), &params, &options(1)).unwrap();
        let two = train(24, vectors.clone(), &params, &options(2)).unwrap();
        assert_eq!(one.centroids.values(), two.centroids.values());
        assert_eq!(one.report, two.report);
        let other = KMeansParams { seed: 43, ..params };
        let other = train(24, vectors.clone(), &other, &options(1)).unwrap();
        assert_ne!(one.centroids.values(), other.centroids.values());
    }
}

#[test]
fn mini_batches_come_near_the_full_training() {
    let vectors = clustered(30_000, 16, 64, 0.3);
    let full = KMeansParams::new(64);
    let small = KMeansParams {
        batch: Some(4_000),
        ..KMeansParams::new(64)
    };
    let full = train(16, vectors.clone(), &full, &options(2)).unwrap();
    let small = train(16, vectors.clone(), &small, &options(2)).unwrap();
    let (full, small) = (
        objective(&full.centroids, &vectors),
        objective(&small.centroids, &vectors),
    );
    assert!(small < 1.1 * full, "{small} against {full}");
}

#[test]
fn balance_makes_sizes_more_equal() {
    // Half of all vectors in one dense spot.
    let mut vectors = clustered(4_000, 8, 10, 0.4);
    let spot: Vec<f32> = vectors[..8].to_vec();
    for (i, vector) in vectors.chunks_exact_mut(8).take(2_000).enumerate() {
        for (d, value) in vector.iter_mut().enumerate() {
            *value = spot[d] + 0.1 * ((i * (31 + 2 * d) + d * 7) % 97) as f32 / 97.0;
        }
    }
    let largest = |size_ratio_max| {
        let params = KMeansParams {
            size_ratio_max,
            ..KMeansParams::new(16)
        };
        let found = train(8, vectors.clone(), &params, &options(2)).unwrap();
        sizes(&found.centroids, &vectors).into_iter().max().unwrap()
    };
    let (free, balanced) = (largest(None), largest(Some(2.0)));
    assert!(free > 1_000, "{free}");
    assert!(balanced < 800, "{balanced} against {free}");
}

#[test]
fn spherical_centroids_are_directions() {
    let mut vectors = clustered(3_000, 10, 12, 0.5);
    vectors.chunks_exact_mut(10).for_each(super::normalise);
    let params = KMeansParams {
        spherical: true,
        ..KMeansParams::new(30)
    };
    let found = train(10, vectors, &params, &options(2)).unwrap();
    for centroid in found.centroids.values().chunks_exact(10) {
        let length: f32 = centroid.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
}

#[test]
fn repeated_and_constant_vectors_come_to_an_end() {
    // Three different vectors, ten clusters; and one vector only.
    for different in [3usize, 1] {
        let vectors: Vec<f32> = (0..200)
            .flat_map(|i| [(i % different) as f32, 7.0])
            .collect();
        for seeding in [Seeding::Random, Seeding::PlusPlus] {
            let params = KMeansParams {
                seeding,
                ..KMeansParams::new(10)
            };
            let found = train(2, vectors.clone(), &params, &options(2)).unwrap();
            assert!(
                found
                    .centroids
                    .values()
                    .iter()
                    .all(|value| value.is_finite())
            );
            let objective = objective(&found.centroids, &vectors);
            assert!(
                objective < 0.4,
                "{different} different, {seeding:?}: {objective}"
            );
        }
    }
}

#[test]
fn empty_clusters_are_repaired() {
    // All starts equal: but for the repair, all clusters but one would stay empty.
    let vectors: Vec<f32> = (0..640).flat_map(|i| [(i / 10) as f32, 0.0]).collect();
    let params = KMeansParams {
        seeding: Seeding::Random,
        tolerance: 0.0,
        ..KMeansParams::new(64)
    };
    let found = train(2, vectors.clone(), &params, &options(1)).unwrap();
    assert!(found.report.repaired > 0, "{:?}", found.report);
    assert!(objective(&found.centroids, &vectors) < 1.0);
}

#[test]
fn far_from_zero_is_as_good() {
    let near = clustered(4_000, 16, 25, 0.1);
    let far: Vec<f32> = near.iter().map(|value| value + 1_000.0).collect();
    let objective_of = |vectors: Vec<f32>| {
        let found = train(16, vectors.clone(), &KMeansParams::new(25), &options(1)).unwrap();
        objective(&found.centroids, &vectors)
    };
    let (near, far) = (objective_of(near), objective_of(far));
    assert!(far < 1.2 * near + 1e-3, "{far} against {near}");
}

#[test]
fn what_cannot_be_clustered_is_refused() {
    let refused = |vectors: Vec<f32>, clusters| {
        let params = KMeansParams::new(clusters);
        train(2, vectors, &params, &options(1))
            .unwrap_err()
            .to_string()
    };
    assert!(refused(vec![0.0; 6], 4).contains("at least 4 rows"));
    assert!(refused(vec![0.0; 6], 0).contains("clusters"));
    assert!(refused(vec![0.0, 1.0, 2.0, f32::NAN], 1).contains("NaN"));
    let cancelled = BuildOptions {
        cancelled: Some(&|| true),
        ..options(1)
    };
    let outcome = train(2, vec![0.0; 6], &KMeansParams::new(2), &cancelled);
    assert!(matches!(outcome, Err(IndexError::Cancelled)));
}
