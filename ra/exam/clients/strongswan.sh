# strongSwan's pki. It takes account and password on its command line alone.
set -euo pipefail
umask 077
pki=${EST_PROGRAM:-pki}
base="https://$EST_HOST:$EST_PORT"
case $EST_URL in https:*) ;; *) base="http://$EST_HOST:$EST_PORT" ;; esac

# pki takes one certificate a file.
anchors=()
if [ -s "$EST_CACERT" ]; then
  mkdir "$EST_DIR/anchors"
  awk -v dir="$EST_DIR/anchors" '/-----BEGIN/ { n++ } { print > (dir "/" n ".pem") }' "$EST_CACERT"
  for file in "$EST_DIR"/anchors/*.pem; do anchors+=(--cacert "$file"); done
else
  anchors=(--cacert "$EST_CACERT")
fi

enroll() {
  local written
  written=$EST_DIR/written.pem
  "$pki" --est --url "$base" --in "$EST_CSR_DER" "${anchors[@]}" --interval 1 --maxpolltime 10 --outform pem "$@" >"$written"
  mv "$written" "$EST_OUT"
}

case $EST_OPERATION in
cacerts)
  "$pki" --estca --url "$base" "${anchors[@]}" --caout "$EST_DIR/store.pem" --outform pem --force
  cat "$EST_DIR"/store.pem "$EST_DIR"/store-*.pem 2>/dev/null >"$EST_DIR/written.pem" || true
  mv "$EST_DIR/written.pem" "$EST_OUT"
  ;;
enroll)
  if [ -n "$EST_USER" ]; then enroll --userpass "$EST_USER:$EST_PASSWORD"; else enroll; fi
  ;;
reenroll)
  enroll --cert "$EST_CERT" --key "$EST_OLDKEY"
  ;;
*)
  echo "pki cannot do $EST_OPERATION" >&2
  exit 2
  ;;
esac
