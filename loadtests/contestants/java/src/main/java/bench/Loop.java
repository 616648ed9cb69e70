package bench;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** A hand-tuned loop: all that a poll gave is one batch; a flush before each commit. */
public final class Loop {
    private static final int ROUND_RECORDS = 4_096;
    private static final long COMMIT_NANOS = 1_000_000_000L;

    public static void main(String[] arguments) throws Exception {
        var reading = new Properties();
        reading.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, Settings.of("BENCH_BROKERS"));
        reading.put(ConsumerConfig.GROUP_ID_CONFIG, Settings.of("BENCH_GROUP"));
        reading.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        reading.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
        reading.put(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, ROUND_RECORDS);
        var writing = new Properties();
        writing.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, Settings.of("BENCH_BROKERS"));
        writing.put(ProducerConfig.ACKS_CONFIG, "all");
        writing.put(ProducerConfig.LINGER_MS_CONFIG, 5);
        writing.put(ProducerConfig.BATCH_SIZE_CONFIG, 900_000);

        var consumer =
                new KafkaConsumer<>(reading, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        var ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            consumer.wakeup();
            try {
                ended.await();
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
            }
        }));
        try (var producer =
                        new KafkaProducer<>(writing, new ByteArraySerializer(), new ByteArraySerializer());
                var work = new Work(ROUND_RECORDS)) {
            rounds(consumer, producer, work);
        } catch (WakeupException asked) {
            // The end.
        } finally {
            consumer.close();
            ended.countDown();
        }
    }

    private static void rounds(
            KafkaConsumer<byte[], byte[]> consumer,
            KafkaProducer<byte[], byte[]> producer,
            Work work) {
        String topic = Settings.of("BENCH_DECISIONS");
        consumer.subscribe(List.of(Settings.of("BENCH_EVENTS")));
        var records = new ArrayList<ConsumerRecord<byte[], byte[]>>(ROUND_RECORDS);
        var values = new ArrayList<byte[]>(ROUND_RECORDS);
        long committed = System.nanoTime();
        while (true) {
            records.clear();
            values.clear();
            for (var record : consumer.poll(Duration.ofMillis(200))) {
                records.add(record);
                values.add(record.value());
            }
            if (records.isEmpty()) {
                continue;
            }
            byte[][] answers = work.answer(values);
            for (int at = 0; at < answers.length; at++) {
                var record = records.get(at);
                producer.send(
                        new ProducerRecord<>(topic, record.partition(), record.key(), answers[at]));
            }
            if (System.nanoTime() - committed >= COMMIT_NANOS) {
                producer.flush();
                consumer.commitSync();
                committed = System.nanoTime();
            }
        }
    }
}
