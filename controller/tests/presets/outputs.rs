//! What the presets find in output that the real programs printed (versions of Debian 12; oha 1.16, vegeta 12.13, Kafka 4.3, memtier_benchmark from
//! source), kept in `outputs/`.

use loader::external::figures::extract;

use crate::{least, load};

/// The figures that a preset finds in a text. The text of a preset that reads a file is that of the file.
fn figures(preset: &str, text: &str) -> Vec<(String, Result<Option<f64>, String>)> {
    let load = load(preset, least(preset));
    let found = load
        .figures
        .iter()
        .map(|figure| (figure.name.to_string(), extract(figure, text)));
    found.collect()
}

#[track_caller]
fn finds(preset: &str, text: &str, expected: &[(&str, f64)]) {
    let found = figures(preset, text);
    assert_eq!(found.len(), expected.len(), "{preset}: {found:#?}");
    for ((name, value), (known, number)) in found.iter().zip(expected) {
        assert_eq!(name, known, "{preset}");
        let value = value.clone().unwrap_or_else(|why| panic!("{preset}: {why}")).unwrap();
        assert!(
            (value - number).abs() < 1e-6 * number.abs().max(1.0),
            "{preset}: {name} = {value}, not {number}"
        );
    }
}

#[test]
fn wrk() {
    let expected = [
        ("throughput", 26549.95),
        ("latency-p50", 0.222),
        ("latency-p90", 0.473),
        ("latency-p99", 4.69),
        ("latency-max", 9.55),
        ("replies", 29259.0),
        ("wrong-status", 0.0),
        ("socket-errors", 0.0),
    ];
    let good = include_str!("outputs/wrk.txt");
    finds("wrk", good, &expected);
    let errors = good.replace(
        "Requests/sec",
        "  Socket errors: connect 1, read 2, write 0, timeout 40\nRequests/sec",
    );
    assert_eq!(figures("wrk", &errors)[7].1, Ok(Some(43.0)));
    assert_eq!(
        figures("wrk", include_str!("outputs/wrk-404.txt"))[6].1,
        Ok(Some(23650.0))
    );
    assert!(
        figures("wrk", "unable to connect to 127.0.0.1:18199 Connection refused\n")[0]
            .1
            .is_err()
    );
}

#[test]
fn ab() {
    let expected = [
        ("throughput", 21506.83),
        ("latency-mean", 0.372),
        ("latency-p50", 0.0),
        ("latency-p99", 4.0),
        ("latency-max", 8.0),
        ("requests", 21507.0),
        ("failed", 0.0),
        ("wrong-status", 0.0),
    ];
    finds("ab", include_str!("outputs/ab.txt"), &expected);
}

#[test]
fn hey() {
    let expected = [
        ("throughput", 6635.1695),
        ("latency-p50", 0.7),
        ("latency-p99", 7.3),
        ("latency-max", 15.5),
        ("successes", 6642.0),
        ("wrong-status", 0.0),
        ("errors", 0.0),
    ];
    let good = include_str!("outputs/hey.txt");
    finds("hey", good, &expected);
    let refused = figures("hey", include_str!("outputs/hey-refused.txt"));
    assert_eq!(
        (refused[4].1.clone(), refused[6].1.clone()),
        (Ok(Some(0.0)), Ok(Some(8319.0)))
    );
    let missing = good.replace("[200]\t6642", "[404]\t6642");
    let missing = figures("hey", &missing);
    assert_eq!(
        (missing[4].1.clone(), missing[5].1.clone()),
        (Ok(Some(0.0)), Ok(Some(6642.0)))
    );
}

#[test]
fn oha() {
    let expected = [
        ("throughput", 4418.456502942616),
        ("latency-p50", 0.519454),
        ("latency-p90", 1.218195),
        ("latency-p99", 7.801729),
        ("latency-max", 13.250737),
        ("replies", 4430.0),
        ("errors", 2.0),
        ("status-200", 4430.0),
    ];
    finds("oha", include_str!("outputs/oha.json"), &expected);
}

#[test]
fn vegeta() {
    let expected = [
        ("throughput", 100.99278747990071),
        ("latency-p50", 0.56298),
        ("latency-p90", 1.092233),
        ("latency-p99", 6.735725),
        ("latency-max", 7.610941),
        ("sent-rate", 101.04673024568027),
        ("requests", 100.0),
        ("status-200", 100.0),
    ];
    finds("vegeta", include_str!("outputs/vegeta.json"), &expected);
}

#[test]
fn redis_benchmark() {
    let expected = [
        ("throughput", 26881.72),
        ("latency-mean", 0.199),
        ("latency-p50", 0.175),
        ("latency-p99", 0.471),
        ("latency-max", 5.423),
    ];
    let one = include_str!("outputs/redis-benchmark.csv");
    finds("redis-benchmark", one, &expected);
    let two = one.to_owned() + "\"SET\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\"\n";
    assert!(
        figures("redis-benchmark", &two)[0]
            .1
            .as_ref()
            .unwrap_err()
            .contains("there are 2 values")
    );
}

#[test]
fn memtier_benchmark() {
    let expected = [
        ("throughput", 18316.77),
        ("latency-p50", 0.167),
        ("latency-p99", 1.151),
        ("latency-max", 20.351),
        ("requests", 18331.0),
    ];
    finds(
        "memtier-benchmark",
        include_str!("outputs/memtier-benchmark.json"),
        &expected,
    );
}

#[test]
fn dnsperf() {
    let expected = [
        ("throughput", 999.918007),
        ("latency-mean", 0.047),
        ("latency-max", 1.033),
        ("sent", 1000.0),
        ("lost", 0.0),
        ("no-error", 1000.0),
    ];
    let good = include_str!("outputs/dnsperf.txt");
    finds("dnsperf", good, &expected);
    let mixed = good.replace("NOERROR 1000 (100.00%)", "SERVFAIL 10 (1.00%), NOERROR 990 (99.00%)");
    assert_eq!(figures("dnsperf", &mixed)[5].1, Ok(Some(990.0)));
    let none = good.replace("NOERROR 1000 (100.00%)", "NXDOMAIN 1000 (100.00%)");
    assert_eq!(figures("dnsperf", &none)[5].1, Ok(Some(0.0)));
}

#[test]
fn iperf3() {
    let expected = [
        ("received", 18347.901907054726),
        ("sent", 18510.084018308613),
        ("retransmits", 1.0),
        ("client-cpu", 24.956727989003586),
    ];
    finds("iperf3", include_str!("outputs/iperf3.json"), &expected);
    // It exits with 0 then.
    let refused = "{\"start\": {}, \"intervals\": [], \"end\": {}, \"error\": \"unable to connect to server: Connection refused\"}";
    let why = figures("iperf3", refused)[0].1.clone().unwrap_err();
    assert!(why.contains("unable to connect to server"), "{why}");
}

#[test]
fn kafka_producer_perf_test() {
    let expected = [
        ("throughput", 2629.030026),
        ("latency-mean", 8.78),
        ("latency-p50", 6.0),
        ("latency-p99", 63.0),
        ("latency-max", 85.0),
        ("records", 19000.0),
    ];
    finds(
        "kafka-producer-perf-test",
        include_str!("outputs/kafka-producer-perf-test.txt"),
        &expected,
    );
}

#[test]
fn sysbench() {
    let expected = [
        ("transactions", 288.33),
        ("queries", 5766.59),
        ("latency-mean", 3.44),
        ("latency-p99", 12.98),
        ("latency-max", 15.84),
        ("transaction-count", 291.0),
        ("ignored-errors", 0.0),
    ];
    finds("sysbench", include_str!("outputs/sysbench.txt"), &expected);
}
