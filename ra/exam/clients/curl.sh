# curl and openssl, as people put them together.
set -euo pipefail
umask 077

# The account goes in by a file, so that it stands on no command line.
account() {
  [ -n "$EST_USER" ] || return 0
  local quoted="$EST_USER:$EST_PASSWORD"
  quoted=${quoted//\\/\\\\}
  printf 'user = "%s"\n' "${quoted//\"/\\\"}"
}

ask() { curl --silent --show-error --fail --cacert "$EST_CACERT" "$@"; }
certificates() { tr -d ' \t\r\n' | openssl base64 -d -A | openssl pkcs7 -inform DER -print_certs -out "$EST_OUT"; }

case $EST_OPERATION in
cacerts)
  ask "$EST_URL/cacerts" | certificates
  ;;
csrattrs)
  ask "$EST_URL/csrattrs" >"$EST_OUT"
  ;;
enroll)
  ask --config <(account) -H 'Content-Type: application/pkcs10' --data-binary "@$EST_CSR_B64" "$EST_URL/simpleenroll" | certificates
  ;;
reenroll)
  ask --cert "$EST_CERT" --key "$EST_OLDKEY" -H 'Content-Type: application/pkcs10' --data-binary "@$EST_CSR_B64" "$EST_URL/simplereenroll" | certificates
  ;;
*)
  echo "curl.sh cannot do $EST_OPERATION" >&2
  exit 2
  ;;
esac
