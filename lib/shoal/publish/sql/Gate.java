package shoal.publish.sql;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.CallbackHandler;
import javax.security.auth.callback.NameCallback;
import javax.security.auth.callback.PasswordCallback;
import javax.security.sasl.AuthenticationException;
import javax.security.sasl.AuthorizeCallback;
import org.apache.hadoop.hive.common.auth.HiveAuthUtils;
import org.apache.hive.service.auth.PlainSaslHelper;
import org.apache.hive.service.cli.CLIService;
import org.apache.hive.service.cli.thrift.ThriftBinaryCLIService;
import org.apache.hive.service.rpc.thrift.TExecuteStatementReq;
import org.apache.hive.service.rpc.thrift.TExecuteStatementResp;
import org.apache.hive.service.rpc.thrift.TOpenSessionReq;
import org.apache.hive.service.rpc.thrift.TOpenSessionResp;
import org.apache.hive.service.rpc.thrift.TStatus;
import org.apache.hive.service.rpc.thrift.TStatusCode;
import org.apache.hive.service.server.ThreadFactoryWithGarbageCleanup;
import org.apache.spark.sql.catalyst.analysis.UnresolvedFunction;
import org.apache.spark.sql.catalyst.analysis.UnresolvedTableValuedFunction;
import org.apache.spark.sql.catalyst.parser.ParserInterface;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.execution.command.SetCommand;
import org.apache.thrift.TException;
import org.apache.thrift.protocol.TBinaryProtocol;
import org.apache.thrift.server.TThreadPoolServer;
import org.apache.thrift.transport.TSaslServerTransport;
import org.apache.thrift.transport.TServerSocket;

/**
 * HiveServer2's binary service with a login, and for reading only. A client reaches the lake through OpenSession and ExecuteStatement; the
 * protocol's other calls list the catalog. What is not allowed here by name is refused.
 */
public class Gate extends ThriftBinaryCLIService implements CallbackHandler {
    /** The nodes of a parsed query. Statements have other nodes: those of writing, of scripts (TRANSFORM), of Delta's RESTORE and CLONE. */
    private static final Set QUERIES = new HashSet(Arrays.asList(new String[] {
        "Aggregate", "Distinct", "Except", "Filter", "Generate", "GlobalLimit", "Intersect", "Join", "LateralJoin", "LocalLimit", "LocalRelation",
        "Offset", "OneRowRelation", "Pivot", "Project", "RebalancePartitions", "RelationTimeTravel", "Repartition", "RepartitionByExpression",
        "Sample", "Sort", "SubqueryAlias", "TimeTravel", "Union", "UnresolvedHaving", "UnresolvedHint", "UnresolvedInlineTable", "UnresolvedRelation",
        "UnresolvedSubqueryColumnAliases", "UnresolvedTVFAliases", "UnresolvedTableValuedFunction", "UnresolvedWith", "Unpivot", "Window",
        "WithWindowDefinition"}));
    /** Statements that show what is there, by the node at the top; what they hold is not executed. */
    private static final Set SHOWS = new HashSet(Arrays.asList(new String[] {
        "DescribeColumn", "DescribeFunction", "DescribeNamespace", "DescribeQueryCommand", "DescribeRelation",
        "SetCatalogAndNamespace", "SetNamespaceCommand", "ShowCatalogsCommand", "ShowColumns", "ShowCurrentNamespaceCommand", "ShowFunctions",
        "ShowNamespaces", "ShowPartitions", "ShowTableExtended", "ShowTables", "ShowViews"}));
    /** What SET may change: how a time is shown, how many tasks a query has, how long it may take. */
    private static final Set SETTINGS = new HashSet(Arrays.asList(new String[] {
        "spark.sql.session.timeZone", "spark.sql.shuffle.partitions", "spark.sql.thriftServer.queryTimeout"}));
    /** Functions that are tables. Delta's read any path that they are given. */
    private static final Set TABLE_FUNCTIONS = new HashSet(Arrays.asList(new String[] {
        "range", "explode", "explode_outer", "posexplode", "posexplode_outer", "inline", "inline_outer", "stack"}));
    /** Functions that call any method of any class. */
    private static final Set CALLS = new HashSet(Arrays.asList(new String[] {"reflect", "java_method", "try_reflect"}));

    private final ParserInterface parser;
    private final Map digests;
    private final Map lastDays;

    /** digests: a user's SHA-256 of the password in hexadecimal; lastDays: the last day of those that expire, in days since 1970 (UTC). */
    public Gate(CLIService service, ParserInterface parser, Map digests, Map lastDays) {
        super(service);
        this.parser = parser;
        this.digests = digests;
        this.lastDays = lastDays;
    }

    protected void initializeServer() {
        try {
            PlainSaslHelper.getPlainTransportFactory("CUSTOM"); // registers SASL's PLAIN with this Java
            TSaslServerTransport.Factory transports = new TSaslServerTransport.Factory();
            transports.addServerDefinition("PLAIN", "CUSTOM", null, new HashMap(), this);
            TServerSocket socket = HiveAuthUtils.getServerSocket(hiveHost, portNum);
            portNum = socket.getServerSocket().getLocalPort();
            TThreadPoolServer.Args args = new TThreadPoolServer.Args(socket);
            args.processorFactory(PlainSaslHelper.getPlainProcessorFactory(this));
            args.transportFactory(transports);
            args.protocolFactory(new TBinaryProtocol.Factory());
            args.executorService(new ThreadPoolExecutor(minWorkerThreads, maxWorkerThreads, workerKeepAliveTime, TimeUnit.SECONDS,
                new SynchronousQueue(), new ThreadFactoryWithGarbageCleanup("sql-server")));
            server = new TThreadPoolServer(args);
            server.setServerEventHandler(serverEventHandler);
        } catch (Exception error) {
            throw new RuntimeException(error.getMessage(), error);
        }
    }

    /** SASL asks here who a client is, before it may call anything. */
    public void handle(Callback[] callbacks) throws java.io.IOException {
        String user = null;
        char[] password = null;
        for (int i = 0; i < callbacks.length; i++) {
            if (callbacks[i] instanceof NameCallback) {
                user = ((NameCallback) callbacks[i]).getName();
            } else if (callbacks[i] instanceof PasswordCallback) {
                password = ((PasswordCallback) callbacks[i]).getPassword();
            } else if (callbacks[i] instanceof AuthorizeCallback) {
                AuthorizeCallback asked = (AuthorizeCallback) callbacks[i];
                if (!isKnown(user, password)) {
                    throw new AuthenticationException("the user or the password is wrong, or has expired");
                }
                // A client may leave out on whose behalf it acts; another user's it may not.
                String behalf = asked.getAuthorizationID();
                asked.setAuthorized(behalf.isEmpty() || behalf.equals(user));
            }
        }
    }

    private boolean isKnown(String user, char[] password) {
        if (user == null || password == null) {
            return false;
        }
        Object digest = digests.get(user);
        byte[] expected = (digest == null ? "" : (String) digest).getBytes(StandardCharsets.US_ASCII);
        boolean isSame = MessageDigest.isEqual(expected, sha256(new String(password)).getBytes(StandardCharsets.US_ASCII));
        Object last = lastDays.get(user);
        return isSame && (last == null || LocalDate.now(ZoneOffset.UTC).toEpochDay() <= ((Number) last).longValue());
    }

    private static String sha256(String text) {
        try {
            byte[] bytes = MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
            StringBuilder hex = new StringBuilder();
            for (int i = 0; i < bytes.length; i++) {
                hex.append(Character.forDigit((bytes[i] >> 4) & 15, 16)).append(Character.forDigit(bytes[i] & 15, 16));
            }
            return hex.toString();
        } catch (java.security.NoSuchAlgorithmException error) {
            throw new RuntimeException(error);
        }
    }

    /** A client's settings are not taken: they would reach Spark's and Java's own. Only the schema that it begins in is. */
    public TOpenSessionResp OpenSession(TOpenSessionReq request) throws TException {
        Map kept = new HashMap();
        Map given = request.getConfiguration();
        Object schema = given == null ? null : given.get("use:database");
        if (schema != null && ((String) schema).matches("[A-Za-z_][A-Za-z0-9_]*")) {
            kept.put("use:database", schema);
        }
        request.setConfiguration(kept);
        return super.OpenSession(request);
    }

    public TExecuteStatementResp ExecuteStatement(TExecuteStatementReq request) throws TException {
        String refusal = refusal(request.getStatement());
        if (refusal != null) {
            TStatus status = new TStatus(TStatusCode.ERROR_STATUS);
            status.setSqlState("42000");
            status.setErrorMessage(refusal);
            TExecuteStatementResp refused = new TExecuteStatementResp();
            refused.setStatus(status);
            return refused;
        }
        request.unsetConfOverlay();
        return super.ExecuteStatement(request);
    }

    /** One line that says why a statement is refused; null for one that only reads. */
    public String refusal(String statement) {
        LogicalPlan plan;
        try {
            plan = (LogicalPlan) parser.parsePlan(statement);
        } catch (Throwable error) {
            return "not SQL: " + String.valueOf(error.getMessage()).trim().split("\n")[0];
        }
        if (plan instanceof SetCommand) {
            scala.Option pair = ((SetCommand) plan).kv();
            boolean isAllowed = pair.isDefined() && SETTINGS.contains(((scala.Tuple2) pair.get())._1());
            return isAllowed ? null : "SET is answered for spark.sql.session.timeZone, spark.sql.shuffle.partitions and spark.sql.thriftServer.queryTimeout";
        }
        return SHOWS.contains(plan.getClass().getSimpleName()) ? null : fault(plan);
    }

    /** The first part of a query that is not allowed, as a sentence: its nodes, expressions, subqueries and common table expressions. */
    private static String fault(Object part) {
        if (part instanceof LogicalPlan && !QUERIES.contains(part.getClass().getSimpleName())) {
            return "only queries, SHOW, DESCRIBE, USE and some SET are answered here, not " + part.getClass().getSimpleName()
                + "; tables are written by jobs";
        }
        if (part instanceof UnresolvedFunction) {
            scala.collection.Seq names = ((UnresolvedFunction) part).nameParts();
            if (CALLS.contains(((String) names.last()).toLowerCase())) {
                return "the function " + names.last() + " is not answered here";
            }
        }
        if (part instanceof UnresolvedTableValuedFunction) {
            scala.collection.Seq names = ((UnresolvedTableValuedFunction) part).name();
            if (names.size() != 1 || !TABLE_FUNCTIONS.contains(((String) names.head()).toLowerCase())) {
                return "the table function " + names.mkString(".") + " is not answered here";
            }
        }
        scala.collection.Iterator parts = null;
        if (part instanceof scala.collection.Iterable) {
            parts = ((scala.collection.Iterable) part).iterator();
        } else if (part instanceof scala.Product) {
            parts = ((scala.Product) part).productIterator();
        }
        while (parts != null && parts.hasNext()) {
            String found = fault(parts.next());
            if (found != null) {
                return found;
            }
        }
        return null;
    }
}
