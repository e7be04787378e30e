import java.io.*;
import java.nio.file.*;
import java.security.*;
import java.security.cert.*;
import java.util.*;
import javax.net.ssl.KeyManagerFactory;
import javax.security.auth.x500.X500Principal;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.est.*;
import org.bouncycastle.est.jcajce.*;
import org.bouncycastle.operator.jcajce.*;
import org.bouncycastle.pkcs.PKCS10CertificationRequest;
import org.bouncycastle.pkcs.jcajce.JcaPKCS10CertificationRequestBuilder;

/** Enrolls with Bouncy Castle's EST client: SERVER ROOT.PEM ACCOUNT-FILE NAME. */
public class Enroll {
    public static void main(String[] args) throws Exception {
        Security.addProvider(new org.bouncycastle.jce.provider.BouncyCastleProvider());
        CertificateFactory certificates = CertificateFactory.getInstance("X.509");
        X509Certificate root;
        try (InputStream in = new FileInputStream(args[1])) {
            root = (X509Certificate) certificates.generateCertificate(in);
        }
        // The password is in a file: not on a command line.
        List<String> account = Files.readAllLines(Path.of(args[2]));
        ESTService est = new JsseESTServiceBuilder(args[0],
                JcaJceUtils.getCertPathTrustManager(Collections.singleton(new TrustAnchor(root, null)), null)).build();

        int chain = est.getCACerts().getCertificateStore().getMatches(null).size();
        System.out.println("cacerts " + chain);

        CSRRequestResponse attributes = est.getCSRAttributes();
        System.out.println("csrattrs " + (attributes.hasAttributesResponse() ? attributes.getAttributesResponse().getRequirements().size() : 0));

        KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
        generator.initialize(2048);
        KeyPair key = generator.generateKeyPair();
        PKCS10CertificationRequest csr = new JcaPKCS10CertificationRequestBuilder(new X500Principal("CN=" + args[3]), key.getPublic())
                .build(new JcaContentSignerBuilder("SHA256withRSA").build(key.getPrivate()));
        ESTAuth auth = new JcaHttpAuthBuilder(null, account.get(0), account.get(1).toCharArray()).build();
        EnrollmentResponse answer = est.simpleEnroll(false, csr, auth);
        X509CertificateHolder issued = null;
        for (X509CertificateHolder c : answer.getStore().getMatches(null)) {
            boolean ours = Arrays.equals(c.getSubjectPublicKeyInfo().getEncoded(), key.getPublic().getEncoded());
            System.out.println("enrolled " + c.getSubject() + " " + ours);
            issued = c;
        }

        // The certificate is the client's own now, and says who asks for the next one.
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        store.setKeyEntry("own", key.getPrivate(), new char[0],
                new java.security.cert.Certificate[] {certificates.generateCertificate(new ByteArrayInputStream(issued.getEncoded()))});
        KeyManagerFactory managers = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        managers.init(store, new char[0]);
        ESTService own = new JsseESTServiceBuilder(args[0],
                JcaJceUtils.getCertPathTrustManager(Collections.singleton(new TrustAnchor(root, null)), null))
                .withKeyManagers(managers.getKeyManagers()).build();
        for (X509CertificateHolder c : own.simpleEnroll(true, csr, null).getStore().getMatches(null)) {
            System.out.println("renewed " + c.getSubject() + " " + !c.getSerialNumber().equals(issued.getSerialNumber()));
        }

        // With a password alone, which RFC 7030 section 4.2.2 has no place for.
        EnrollmentResponse again = est.simpleEnroll(true, csr, auth);
        System.out.println("reenrolled " + again.getStore().getMatches(null).size());
    }
}
