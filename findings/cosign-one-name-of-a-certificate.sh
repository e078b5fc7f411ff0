#!/usr/bin/env bash
# cosign compares one name of a certificate, or all of them, and the form of the signature decides which.
#
# The guess, written down first: a certificate may have several subject alternative names, in any order, and X.509
# gives none of them a rank. So `--certificate-identity` should fit a leaf as soon as one of its names is the one asked
# for, as a TLS client does with a host's names. And the same certificate with the same options should get the same
# verdict, whether it comes as a PEM file (`--certificate`) or in a bundle (`--bundle`).
#
# What it does (cosign 3.1.1): with the PEM file each of the names fits. With a bundle one name alone is compared: the
# first URI, and an email address only where there is no URI, wherever it stands. Of two URIs the second is refused,
# and the error shows the first as if it were the only one. With the URIs swapped it is the other way round.
# sigstore-js (@sigstore/core 3.2.1) keeps the same single name. The PEM option is the deprecated one, so an upgrade of
# the form turns a good signature into a refused one.
#
# Sigstore's public authority writes one name per certificate, so this meets a log with an authority of its own: one
# name per certificate is the safe rule, and an index of identities has to read all names, not the one that clients
# show.
#
# Needs apt with a Debian source, and openssl. Prints what it saw and ends with 0; ends with 1 where a version behaves
# otherwise.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

# cosign of Debian unstable, unpacked here; apt keeps its lists here too.
source=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
mkdir -p apt/lists/partial apt/cache/archives/partial
touch apt/status
echo "deb [signed-by=$keyring] $source unstable main" > apt/sources.list
options=(-qq -o Dir::Etc::sourcelist="$dir/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o Dir::State::lists="$dir/apt/lists" -o Dir::State::status="$dir/apt/status" -o Dir::Cache="$dir/apt/cache"
  -o APT::Sandbox::User="$(id -un)")
apt-get "${options[@]}" update >&2
apt-get "${options[@]}" download cosign=3.1.1-2 >&2
dpkg -x cosign_*.deb root
npm install --silent --no-audit --no-fund --no-package-lock @sigstore/core@3.2.1 >&2

# An authority, a key, a signature over a file.
{
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 30 \
    -subj '/O=Example/CN=Example CA' -addext keyUsage=critical,keyCertSign
  openssl ecparam -name prime256v1 -genkey -noout -out leaf.key
  openssl req -new -key leaf.key -subj / -out leaf.csr
  echo artifact > artifact.txt
  openssl dgst -sha256 -sign leaf.key artifact.txt | base64 -w 0 > signature.txt
} 2> openssl.log || { cat openssl.log >&2; exit 1; }

cat > write.cjs <<'JS'
// Writes bundle.json and root.json for leaf.pem and ca.pem, and prints the one name that sigstore-js reads.
const { createHash, X509Certificate: NodeCertificate } = require('node:crypto');
const { readFileSync, writeFileSync } = require('node:fs');
const { X509Certificate } = require('@sigstore/core');

const der = (file) => new NodeCertificate(readFileSync(file)).raw;
const rawBytes = (file) => ({ rawBytes: der(file).toString('base64') });
const digest = createHash('sha256').update(readFileSync('artifact.txt')).digest('base64');
const bundle = {
  mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
  verificationMaterial: { certificate: rawBytes('leaf.pem') },
  messageSignature: {
    messageDigest: { algorithm: 'SHA2_256', digest },
    signature: readFileSync('signature.txt', 'utf8'),
  },
};
const root = {
  mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
  certificateAuthorities: [
    {
      subject: { organization: 'Example', commonName: 'Example CA' },
      uri: 'https://ca.example.com',
      certChain: { certificates: [rawBytes('ca.pem')] },
      validFor: { start: '2020-01-01T00:00:00Z' },
    },
  ],
};
writeFileSync('bundle.json', JSON.stringify(bundle));
writeFileSync('root.json', JSON.stringify(root));
console.log(X509Certificate.parse(der('leaf.pem')).subjectAltName);
JS

verify() { # name, then the options of the form
  local name=$1
  shift
  if root/usr/bin/cosign verify-blob "$@" --insecure-ignore-tlog --insecure-ignore-sct --certificate-identity "$name" \
    --certificate-oidc-issuer-regexp '.*' artifact.txt > cosign.log 2>&1; then
    echo fits
  elif grep -qE 'no matching CertificateIdentity|none of the expected identities' cosign.log; then
    echo refused
  else
    cat cosign.log >&2
    echo 'another error'
  fi
}

a=https://a.example.com/build b=https://b.example.com/build email=user@example.com other=https://c.example.com/build
names() { # subject alternative names in their order, then the names to ask for
  local subject=$1 name
  shift
  printf '%s\n' basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature extendedKeyUsage=codeSigning \
    "subjectAltName=critical,$subject" 1.3.6.1.4.1.57264.1.8=ASN1:UTF8:https://issuer.example.com > leaf.ext
  openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 10 -extfile leaf.ext -out leaf.pem \
    2> openssl.log || { cat openssl.log >&2; exit 1; }
  echo "  $subject (sigstore-js: $(node write.cjs))"
  for name in "$@"; do
    echo "    $name: PEM file $(verify "$name" --new-bundle-format=false --certificate leaf.pem \
      --certificate-chain ca.pem --signature signature.txt), bundle $(verify "$name" --bundle bundle.json \
      --trusted-root root.json)"
  done
}

core=$(node -p "require('@sigstore/core/package.json').version")
echo "cosign $(dpkg-deb -f cosign_*.deb Version) of Debian, @sigstore/core $core"
seen=$(
  names "URI:$a,URI:$b" $a $b $other
  names "URI:$b,URI:$a" $a $b $other
  names "email:$email,URI:$a" $a $email $other
  names "email:$email" $email $other
)
echo "$seen"
expected="  URI:$a,URI:$b (sigstore-js: $a)
    $a: PEM file fits, bundle fits
    $b: PEM file fits, bundle refused
    $other: PEM file refused, bundle refused
  URI:$b,URI:$a (sigstore-js: $b)
    $a: PEM file fits, bundle refused
    $b: PEM file fits, bundle fits
    $other: PEM file refused, bundle refused
  email:$email,URI:$a (sigstore-js: $a)
    $a: PEM file fits, bundle fits
    $email: PEM file fits, bundle refused
    $other: PEM file refused, bundle refused
  email:$email (sigstore-js: $email)
    $email: PEM file fits, bundle fits
    $other: PEM file refused, bundle refused"
if [ "$seen" != "$expected" ]; then
  echo 'This is not what was seen before: the finding no longer holds.'
  exit 1
fi
