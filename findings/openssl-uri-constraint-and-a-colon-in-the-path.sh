#!/usr/bin/env bash
# A certificate whose URI has a colon in its path fails the URI constraint of its authority in OpenSSL; its host is the permitted one.
#
# The guess, written down first: a name constraint of the kind URI applies to the host part of the name (RFC 5280 section
# 4.2.1.10). The host of https://ci.example.org/build:7 ends at the slash (RFC 3986 section 3.2), and a colon is an ordinary
# character of a path. So an authority that may certify the host ci.example.org may certify that name, as it may
# https://ci.example.org/build/7.
#
# What it does (OpenSSL 3.0): it looks for the colon of a port in all that follows the "//", the path included, and takes what
# stands before that colon for the host: "ci.example.org/build", which the constraint does not permit. The certificate is
# refused with "permitted subtree violation". An @ or a second slash in the path changes nothing.
#
# For an authority with name constraints, such as one for each team: names of build systems are URIs with paths that others
# chose, and a path with a colon gives a certificate that some relying parties refuse. The authority should not issue it.
#
# Needs openssl 3. Prints what it saw and ends with 0; ends with 1 where a version behaves otherwise.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
openssl version | cut -d' ' -f1,2 >&2

cat >settings.cnf <<'CNF'
[req]
distinguished_name = dn
prompt = no
[dn]
CN = root
[root]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign
[team]
basicConstraints = critical,CA:true,pathlen:0
keyUsage = critical,keyCertSign
nameConstraints = critical,permitted;URI:ci.example.org
[plain]
subjectAltName = critical,URI:https://ci.example.org/build/7
[at]
subjectAltName = critical,URI:https://ci.example.org/build@7//x
[port]
subjectAltName = critical,URI:https://ci.example.org:8443/build/7
[colon]
subjectAltName = critical,URI:https://ci.example.org/build:7
CNF
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
key root
openssl req -x509 -key root.key -out root.pem -config settings.cnf -extensions root -days 30
# issue NAME ISSUER
issue() {
  key "$1"
  openssl req -new -key "$1.key" -out "$1.csr" -config settings.cnf -subj "/CN=$1"
  openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days 20 \
    -extfile settings.cnf -extensions "$1" -out "$1.pem" 2>/dev/null
}
issue team root
seen=$(for name in plain at port colon; do
  issue "$name" team
  said=$(openssl verify -CAfile root.pem -untrusted team.pem "$name.pem" 2>&1 || true)
  case $said in
    *'permitted subtree violation'*) echo "$name: permitted subtree violation" ;;
    *': OK'*) echo "$name: OK" ;;
    *) echo "$name: $said" ;;
  esac
done)
echo "$seen"
expected='plain: OK
at: OK
port: OK
colon: permitted subtree violation'
if [ "$seen" != "$expected" ]; then
  echo 'This is not what was seen before: the finding no longer holds.'
  exit 1
fi
