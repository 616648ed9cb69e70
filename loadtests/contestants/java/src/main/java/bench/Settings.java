package bench;

/** What the load test says by the environment. */
final class Settings {
    private Settings() {}

    static String of(String name) {
        String value = System.getenv(name);
        if (value == null) {
            throw new IllegalStateException(name + " is not set");
        }
        return value;
    }
}
