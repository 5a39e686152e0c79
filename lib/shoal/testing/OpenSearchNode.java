package shoal.testing;

import java.util.Collections;
import java.util.Properties;
import org.opensearch.common.settings.Settings;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;

/** An OpenSearch of one node with HTTP and nothing else. The constructor that takes plug-ins is for subclasses only. Arguments: name=value. */
public class OpenSearchNode extends Node {
    public OpenSearchNode(Settings settings) {
        super(InternalSettingsPreparer.prepareEnvironment(settings, Collections.EMPTY_MAP, null, new java.util.function.Supplier() {
            public Object get() {
                return "shoal";
            }
        }), Collections.singletonList(org.opensearch.transport.Netty4Plugin.class), false);
    }

    public static void main(String[] arguments) throws Exception {
        Settings.Builder settings = Settings.builder();
        for (int i = 0; i < arguments.length; i++) {
            int at = arguments[i].indexOf('=');
            settings.put(arguments[i].substring(0, at), arguments[i].substring(at + 1));
        }
        final OpenSearchNode node = new OpenSearchNode(settings.build());
        Runtime.getRuntime().addShutdownHook(new Thread() {
            public void run() {
                try {
                    node.close();
                } catch (java.io.IOException error) {
                    error.printStackTrace();
                }
            }
        });
        node.start();
        // Its own threads do not keep Java running.
        Thread.currentThread().join();
    }
}
