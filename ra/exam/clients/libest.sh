# libest's example client. Its exit status says nothing, so the files do.
set -euo pipefail
umask 077
export EST_OPENSSL_CACERT=$EST_CACERT
estclient=${EST_PROGRAM:-estclient}
made=$EST_DIR/libest
mkdir -p "$made"

common=(-s "$EST_HOST" -p "$EST_PORT" -o "$made")
[ -z "$EST_LABEL" ] || common+=(--path-seg "$EST_LABEL")
[ -z "$EST_USER" ] || common+=(-u "$EST_USER" -h "$EST_PASSWORD")
status=0

case $EST_OPERATION in
cacerts)
  "$estclient" -g "${common[@]}" || status=$?
  [ ! -s "$made/cacert-0-0.pkcs7" ] || tr -d ' \t\r\n' <"$made/cacert-0-0.pkcs7" | openssl base64 -d -A | openssl pkcs7 -inform DER -print_certs -out "$EST_OUT"
  ;;
csrattrs)
  "$estclient" -a "${common[@]}" || status=$?
  ;;
enroll)
  "$estclient" -e "${common[@]}" -y "$EST_CSR" --pem-output || status=$?
  [ ! -s "$made/cert-0-0.pem" ] || mv "$made/cert-0-0.pem" "$EST_OUT"
  ;;
reenroll)
  "$estclient" -r "${common[@]}" -c "$EST_CERT" -k "$EST_OLDKEY" -y "$EST_CSR" --pem-output || status=$?
  [ ! -s "$made/cert-0-0.pem" ] || mv "$made/cert-0-0.pem" "$EST_OUT"
  ;;
serverkeygen)
  "$estclient" -q "${common[@]}" --common-name "$EST_NAME" --pem-output || status=$?
  [ ! -s "$made/key-0-0.pem" ] || mv "$made/key-0-0.pem" "$EST_KEY"
  [ ! -s "$made/cert-0-0.pem" ] || mv "$made/cert-0-0.pem" "$EST_OUT"
  ;;
esac
exit $status
