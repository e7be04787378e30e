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

ask() { curl --silent --show-error --fail --resolve "$EST_HOST:$EST_PORT:$EST_ADDRESS" --cacert "$EST_CACERT" "$@"; }

# An answer becomes a file only where it came whole.
certificates() {
  local answer
  answer=$(ask "$@")
  tr -d ' \t\r\n' <<<"$answer" | openssl base64 -d -A | openssl pkcs7 -inform DER -print_certs -out "$EST_OUT"
}

case $EST_OPERATION in
cacerts)
  certificates "$EST_URL/cacerts"
  ;;
csrattrs)
  ask "$EST_URL/csrattrs" >"$EST_OUT"
  ;;
enroll)
  certificates --config <(account) -H 'Content-Type: application/pkcs10' --data-binary "@$EST_CSR_B64" "$EST_URL/simpleenroll"
  ;;
reenroll)
  certificates --cert "$EST_CERT" --key "$EST_OLDKEY" -H 'Content-Type: application/pkcs10' --data-binary "@$EST_CSR_B64" "$EST_URL/simplereenroll"
  ;;
*)
  echo "curl.sh cannot do $EST_OPERATION" >&2
  exit 2
  ;;
esac
