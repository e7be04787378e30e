import java.io.*;
import java.nio.file.*;
import java.security.*;
import java.security.cert.*;
import java.security.cert.Certificate;
import java.util.*;
import javax.net.ssl.KeyManagerFactory;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.est.*;
import org.bouncycastle.est.jcajce.*;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.openssl.PEMKeyPair;
import org.bouncycastle.openssl.PEMParser;
import org.bouncycastle.openssl.jcajce.JcaPEMKeyConverter;
import org.bouncycastle.pkcs.PKCS10CertificationRequest;
import org.bouncycastle.util.Store;

/** One EST operation with Bouncy Castle's client, as the environment says. */
public class Exam {
    static String env(String name) {
        String value = System.getenv("EST_" + name);
        return value == null ? "" : value;
    }

    public static void main(String[] args) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        Set<TrustAnchor> anchors = new HashSet<>();
        List<Certificate> chain = new ArrayList<>();
        try (InputStream in = new FileInputStream(env("CACERT"))) {
            for (Certificate c : factory.generateCertificates(in)) {
                X509Certificate x = (X509Certificate) c;
                if (x.getSubjectX500Principal().equals(x.getIssuerX500Principal())) {
                    anchors.add(new TrustAnchor(x, null));
                }
            }
        }
        if (!env("URL").startsWith("https:")) {
            System.err.println("the URL is not https");
            System.exit(1);
        }
        JsseESTServiceBuilder builder = new JsseESTServiceBuilder(env("HOST") + ":" + env("PORT"), JcaJceUtils.getCertPathTrustManager(anchors, null));
        if (!env("LABEL").isEmpty()) {
            builder.withLabel(env("LABEL"));
        }
        if (!env("CERT").isEmpty()) {
            try (InputStream in = new FileInputStream(env("CERT")); PEMParser key = new PEMParser(new FileReader(env("OLDKEY")))) {
                chain.addAll(factory.generateCertificates(in));
                Object read = key.readObject();
                PrivateKeyInfo info = read instanceof PEMKeyPair ? ((PEMKeyPair) read).getPrivateKeyInfo() : (PrivateKeyInfo) read;
                KeyStore store = KeyStore.getInstance("PKCS12");
                store.load(null, null);
                store.setKeyEntry("own", new JcaPEMKeyConverter().getPrivateKey(info), new char[0], chain.toArray(new Certificate[0]));
                KeyManagerFactory managers = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
                managers.init(store, new char[0]);
                builder.withKeyManagers(managers.getKeyManagers());
            }
        }
        ESTService est = builder.build();
        ESTAuth auth = env("USER").isEmpty() ? null : new JcaHttpAuthBuilder(null, env("USER"), env("PASSWORD").toCharArray()).build();
        String operation = env("OPERATION");
        switch (operation) {
            case "cacerts":
                write(est.getCACerts().getCertificateStore());
                break;
            case "csrattrs":
                est.getCSRAttributes();
                break;
            case "enroll":
            case "reenroll":
                PKCS10CertificationRequest csr = new PKCS10CertificationRequest(Files.readAllBytes(Path.of(env("CSR_DER"))));
                EnrollmentResponse answer = est.simpleEnroll(operation.equals("reenroll"), csr, auth);
                if (answer.getStore() == null) {
                    System.err.println("not yet: ask again at " + new Date(answer.getNotBefore()));
                    System.exit(3);
                }
                write(answer.getStore());
                break;
            default:
                System.err.println("this client cannot do " + operation);
                System.exit(2);
        }
    }

    static void write(Store<X509CertificateHolder> store) throws IOException {
        StringBuilder out = new StringBuilder();
        for (X509CertificateHolder c : store.getMatches(null)) {
            out.append("-----BEGIN CERTIFICATE-----\n").append(Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(c.getEncoded()));
            out.append("\n-----END CERTIFICATE-----\n");
        }
        Files.writeString(Path.of(env("OUT")), out);
    }
}
