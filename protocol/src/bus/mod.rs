//! The typed ends over Kafka.
