package bench;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Events to decisions: a streaming parser, one tensor, one run of the model in one thread. */
final class Work implements AutoCloseable {
    private static final String[] LABELS = {"default", "repaid"};

    private final JsonFactory json = new JsonFactory();
    private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
    private final OrtSession session;
    private final Map<String, Integer> columns = new HashMap<>();
    private final int width;
    private final FloatBuffer matrix;

    /** What the answer says of its event. */
    private record Event(String id, String time) {}

    Work(int rows) {
        String[] names = Settings.of("BENCH_FEATURES").split(",");
        width = names.length;
        for (int at = 0; at < width; at++) {
            columns.put(names[at], at);
        }
        matrix = ByteBuffer.allocateDirect(4 * rows * width)
                .order(ByteOrder.nativeOrder())
                .asFloatBuffer();
        try {
            var options = new OrtSession.SessionOptions();
            options.setIntraOpNumThreads(1);
            session = environment.createSession(Settings.of("BENCH_MODEL"), options);
        } catch (OrtException error) {
            throw new IllegalStateException(error);
        }
    }

    /** Answers each value; a value that cannot be read ends the program. */
    byte[][] answer(List<byte[]> values) {
        try {
            var events = new Event[values.size()];
            for (int row = 0; row < events.length; row++) {
                events[row] = parse(values.get(row), row);
            }
            matrix.position(0).limit(events.length * width);
            long[] shape = {events.length, width};
            try (var tensor = OnnxTensor.createTensor(environment, matrix, shape);
                    var result = session.run(Map.of("features", tensor), Set.of("probabilities"))) {
                var scores = (float[][]) result.get(0).getValue();
                var answers = new byte[events.length][];
                for (int row = 0; row < events.length; row++) {
                    answers[row] = write(events[row], scores[row]);
                }
                return answers;
            } finally {
                matrix.clear();
            }
        } catch (OrtException | IOException error) {
            throw new IllegalStateException(error);
        }
    }

    private Event parse(byte[] value, int row) throws IOException {
        String id = null;
        String time = null;
        for (int at = row * width; at < (row + 1) * width; at++) {
            matrix.put(at, Float.NaN);
        }
        try (JsonParser parser = json.createParser(value)) {
            parser.nextToken();
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String name = parser.currentName();
                parser.nextToken();
                switch (name) {
                    case "id" -> id = parser.getText();
                    case "time" -> time = parser.getText();
                    case "features" -> features(parser, row);
                    default -> parser.skipChildren();
                }
            }
        }
        return new Event(id, time);
    }

    private void features(JsonParser parser, int row) throws IOException {
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            Integer column = columns.get(parser.currentName());
            JsonToken token = parser.nextToken();
            if (column != null && token != JsonToken.VALUE_NULL) {
                matrix.put(row * width + column, (float) parser.getDoubleValue());
            }
        }
    }

    private byte[] write(Event event, float[] scores) throws IOException {
        int chosen = scores[1] > scores[0] ? 1 : 0;
        var out = new ByteArrayOutputStream(320);
        try (JsonGenerator generator = json.createGenerator(out)) {
            generator.writeStartObject();
            generator.writeStringField("id", event.id());
            generator.writeStringField("event_id", event.id());
            generator.writeStringField("event_time", event.time());
            generator.writeStringField("model", "bench");
            generator.writeStringField("version", "1");
            generator.writeStringField("source", "model");
            generator.writeStringField("reason", "confident");
            generator.writeStringField("label", LABELS[chosen]);
            generator.writeNumberField("score", scores[1]);
            generator.writeNumberField("confidence", scores[chosen]);
            generator.writeEndObject();
        }
        return out.toByteArray();
    }

    @Override
    public void close() throws OrtException {
        session.close();
    }
}
