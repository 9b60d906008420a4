import com.datastax.driver.core.Cluster;
import com.datastax.driver.core.ConsistencyLevel;
import com.datastax.driver.core.RemoteEndpointAwareJdkSSLOptions;
import com.datastax.driver.core.Row;
import com.datastax.driver.core.Session;
import com.datastax.driver.core.SimpleStatement;
import com.datastax.driver.core.SocketOptions;
import com.datastax.driver.core.policies.FallthroughRetryPolicy;
import com.datastax.driver.core.policies.RoundRobinPolicy;
import com.datastax.driver.core.policies.WhiteListPolicy;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.List;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * What `tests/lib/cassandra` needs of a client. Java, because a driver comes with the server's own jars.
 *
 *   CqlTool ready PORT SECONDS HOST...       returns when each host lets us in and sees all the others
 *   CqlTool run PORT HOST CONSISTENCY        statements from standard input, rows to standard output
 *
 * CQL_USER and CQL_PASSWORD are for servers that ask; CQL_TLS names the folder of ca.pem and client.p12.
 * Exit code 1 with the reason on standard error when it comes to nothing. The process ends without closing
 * its clusters: the driver would take two seconds for that.
 */
public final class CqlTool {
    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(arguments[1]);
        try {
            if (arguments[0].equals("ready")) {
                List<String> hosts = List.of(arguments).subList(3, arguments.length);
                long deadline = System.nanoTime() + Long.parseLong(arguments[2]) * 1_000_000_000L;
                for (String host : hosts) awaitNode(host, port, hosts.size(), deadline);
            } else {
                run(connect(arguments[2], port), ConsistencyLevel.valueOf(arguments[3]));
            }
        } catch (Exception e) {
            System.err.println(e.getMessage());
            end(1);
        }
        end(0);
    }

    private static void end(int code) {
        System.out.flush();
        Runtime.getRuntime().halt(code);
    }

    /** The tables of system_distributed have a replica on each of up to three nodes. */
    private static void awaitNode(String host, int port, int liveNodes, long deadline) throws Exception {
        ConsistencyLevel[] levels = {ConsistencyLevel.ONE, ConsistencyLevel.TWO, ConsistencyLevel.THREE};
        SimpleStatement read = new SimpleStatement("SELECT parent_id FROM"
            + " system_distributed.parent_repair_history"
            + " WHERE parent_id = 00000000-0000-1000-8000-000000000000");
        read.setConsistencyLevel(levels[liveNodes - 1]);
        Session session = null;
        for (;;) {
            try {
                if (session == null) session = connect(host, port);
                session.execute(read);
                return;
            } catch (RuntimeException e) {
                if (System.nanoTime() > deadline) throw new Exception(host + ": " + e.getMessage());
            }
            Thread.sleep(100);
        }
    }

    private static void run(Session session, ConsistencyLevel level) throws Exception {
        for (String text : split(new String(System.in.readAllBytes(), "UTF-8"))) {
            SimpleStatement statement = new SimpleStatement(text);
            statement.setConsistencyLevel(level);
            for (Row row : session.execute(statement)) print(row);
        }
    }

    private static void print(Row row) {
        StringBuilder line = new StringBuilder();
        for (int i = 0; i < row.getColumnDefinitions().size(); i++) {
            line.append(i == 0 ? "" : "\t").append(row.getObject(i));
        }
        System.out.println(line);
    }

    /** Asks this node alone, whatever it tells of its neighbours. */
    private static Session connect(String host, int port) {
        InetSocketAddress address = new InetSocketAddress(host, port);
        Cluster.Builder builder = Cluster.builder().addContactPointsWithPorts(address)
            .withLoadBalancingPolicy(new WhiteListPolicy(new RoundRobinPolicy(), List.of(address)))
            .withRetryPolicy(FallthroughRetryPolicy.INSTANCE)
            .withSocketOptions(new SocketOptions().setConnectTimeoutMillis(2000).setReadTimeoutMillis(30000))
            .withoutMetrics().withoutJMXReporting();
        String user = System.getenv("CQL_USER");
        String keys = System.getenv("CQL_TLS");
        if (user != null) builder.withCredentials(user, System.getenv("CQL_PASSWORD"));
        if (keys != null) {
            builder.withSSL(RemoteEndpointAwareJdkSSLOptions.builder().withSSLContext(tls(Path.of(keys))).build());
        }
        Cluster cluster = builder.build();
        try {
            return cluster.connect();
        } catch (RuntimeException e) {
            cluster.closeAsync();
            throw e;
        }
    }

    private static SSLContext tls(Path folder) {
        char[] password = "cassandra".toCharArray();
        try (InputStream authority = Files.newInputStream(folder.resolve("ca.pem"));
             InputStream own = Files.newInputStream(folder.resolve("client.p12"))) {
            KeyStore trusted = KeyStore.getInstance("PKCS12");
            trusted.load(null, null);
            trusted.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(authority));
            TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            trust.init(trusted);
            KeyStore client = KeyStore.getInstance("PKCS12");
            client.load(own, password);
            KeyManagerFactory key = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
            key.init(client, password);
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(key.getKeyManagers(), trust.getTrustManagers(), null);
            return context;
        } catch (Exception e) {
            throw new IllegalStateException("the keys of " + folder + ": " + e.getMessage(), e);
        }
    }

    /** Statements end with a semicolon; quoted ones and those after "--" do not count. No $$ texts. */
    static List<String> split(String text) {
        List<String> statements = new ArrayList<>();
        StringBuilder statement = new StringBuilder();
        char quote = 0;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (quote == 0 && text.startsWith("--", i)) {
                int end = text.indexOf('\n', i);
                i = (end < 0 ? text.length() : end) - 1;
            } else if (quote == 0 && c == ';') {
                statements.add(statement.toString().strip());
                statement.setLength(0);
            } else {
                if (quote == 0 && (c == '\'' || c == '"')) quote = c;
                else if (c == quote) quote = 0;
                statement.append(c);
            }
        }
        statements.add(statement.toString().strip());
        statements.removeIf(String::isEmpty);
        return statements;
    }
}
