package bench;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.FixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;

/** Kafka Streams: `each` maps a value at a time, `batch` gathers 500 in a processor. */
public final class Streams {
    private static final int BATCH_RECORDS = 500;

    public static void main(String[] arguments) {
        boolean each = arguments[0].equals("each");
        var settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, Settings.of("BENCH_GROUP"));
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, Settings.of("BENCH_BROKERS"));
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1_000);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, Settings.of("BENCH_SCRATCH"));
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.ACKS_CONFIG), "all");
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 5);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 900_000);

        var bytes = Serdes.ByteArray();
        var builder = new StreamsBuilder();
        var events = builder.stream(Settings.of("BENCH_EVENTS"), Consumed.with(bytes, bytes));
        var decisions =
                each
                        ? events.processValues(() -> new Gathering(1))
                        : events.processValues(() -> new Gathering(BATCH_RECORDS));
        decisions.to(Settings.of("BENCH_DECISIONS"), Produced.with(bytes, bytes));

        var streams = new KafkaStreams(builder.build(), settings);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(10))));
        streams.start();
    }

    /**
     * Answers so many records at a time, and the rest every tenth of a second.
     *
     * <p>What waits is committed all the same, which such a processor cannot prevent.
     */
    private static final class Gathering implements FixedKeyProcessor<byte[], byte[], byte[]> {
        private final int most;
        private final List<FixedKeyRecord<byte[], byte[]>> waiting = new ArrayList<>();
        private Work work;
        private FixedKeyProcessorContext<byte[], byte[]> context;

        Gathering(int most) {
            this.most = most;
        }

        @Override
        public void init(FixedKeyProcessorContext<byte[], byte[]> context) {
            this.context = context;
            work = new Work(most);
            if (most > 1) {
                context.schedule(
                        Duration.ofMillis(100), PunctuationType.WALL_CLOCK_TIME, now -> answer());
            }
        }

        @Override
        public void process(FixedKeyRecord<byte[], byte[]> record) {
            waiting.add(record);
            if (waiting.size() == most) {
                answer();
            }
        }

        private void answer() {
            if (waiting.isEmpty()) {
                return;
            }
            byte[][] answers = work.answer(waiting.stream().map(FixedKeyRecord::value).toList());
            for (int at = 0; at < answers.length; at++) {
                context.forward(waiting.get(at).withValue(answers[at]));
            }
            waiting.clear();
        }
    }
}
