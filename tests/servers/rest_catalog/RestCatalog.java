import java.io.File;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Consumer;
import org.apache.iceberg.Files;
import org.apache.iceberg.io.FileIO;
import org.apache.iceberg.io.InputFile;
import org.apache.iceberg.io.OutputFile;
import org.apache.iceberg.io.PositionOutputStream;
import org.apache.iceberg.io.SeekableInputStream;
import org.apache.iceberg.jdbc.JdbcCatalog;
import org.apache.iceberg.rest.HTTPRequest;
import org.apache.iceberg.rest.RESTCatalogAdapter;
import org.apache.iceberg.rest.RESTCatalogServlet;
import org.apache.iceberg.rest.RESTResponse;
import org.apache.iceberg.rest.responses.ErrorResponse;
import org.apache.iceberg.rest.responses.LoadTableResponse;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;

/**
 * An Iceberg REST catalog over a JDBC one: the port, the catalog's name, then its properties as
 * key=value. Properties named vend.* go to clients with each table that they load.
 */
public final class RestCatalog {
  private RestCatalog() {}

  /** Files of this machine, without Hadoop; a location is taken as it stands, as pyiceberg does. */
  public static final class LocalFileIO implements FileIO {
    private static File file(String location) {
      return new File(location.replaceFirst("^file:(//)?", ""));
    }

    @Override
    public InputFile newInputFile(String location) {
      InputFile input = Files.localInput(file(location));
      return new InputFile() {
        @Override
        public long getLength() {
          return input.getLength();
        }

        @Override
        public SeekableInputStream newStream() {
          return input.newStream();
        }

        @Override
        public String location() {
          return location;
        }

        @Override
        public boolean exists() {
          return input.exists();
        }
      };
    }

    @Override
    public OutputFile newOutputFile(String location) {
      file(location).getParentFile().mkdirs();
      OutputFile output = Files.localOutput(file(location));
      return new OutputFile() {
        @Override
        public PositionOutputStream create() {
          return output.create();
        }

        @Override
        public PositionOutputStream createOrOverwrite() {
          return output.createOrOverwrite();
        }

        @Override
        public String location() {
          return location;
        }

        @Override
        public InputFile toInputFile() {
          return newInputFile(location);
        }
      };
    }

    @Override
    public void deleteFile(String location) {
      file(location).delete();
    }
  }

  private static final class Vending extends RESTCatalogAdapter {
    private final Map<String, String> vended;

    Vending(JdbcCatalog catalog, Map<String, String> vended) {
      super(catalog);
      this.vended = vended;
    }

    @Override
    protected <T extends RESTResponse> T execute(
        HTTPRequest request,
        Class<T> type,
        Consumer<ErrorResponse> errors,
        Consumer<Map<String, String>> headers) {
      T answer = super.execute(request, type, errors, headers);
      if (answer instanceof LoadTableResponse) {
        LoadTableResponse table = (LoadTableResponse) answer;
        return type.cast(
            LoadTableResponse.builder()
                .withTableMetadata(table.tableMetadata())
                .addAllConfig(table.config())
                .addAllConfig(vended)
                .build());
      }
      return answer;
    }
  }

  public static void main(String[] arguments) throws Exception {
    Map<String, String> properties = new HashMap<>();
    Map<String, String> vended = new HashMap<>();
    for (int i = 2; i < arguments.length; i++) {
      String[] pair = arguments[i].split("=", 2);
      if (pair[0].startsWith("vend.")) {
        vended.put(pair[0].substring("vend.".length()), pair[1]);
      } else {
        properties.put(pair[0], pair[1]);
      }
    }
    JdbcCatalog catalog = new JdbcCatalog();
    catalog.initialize(arguments[1], properties);

    Server server = new Server();
    ServerConnector connector = new ServerConnector(server);
    connector.setHost("127.0.0.1");
    connector.setPort(Integer.parseInt(arguments[0]));
    server.addConnector(connector);
    ServletContextHandler context = new ServletContextHandler();
    context.addServlet(
        new ServletHolder(new RESTCatalogServlet(new Vending(catalog, vended))), "/*");
    server.setHandler(context);
    server.start();
    server.join();
  }
}
