package rest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// jwk is a private key as RFC 7517 and RFC 7518 write it, or a set of keys.
type jwk struct {
	hidden
	Type      string    `json:"kty"`
	ID        string    `json:"kid"`
	Algorithm string    `json:"alg"`
	Curve     string    `json:"crv"`
	N         jwkNumber `json:"n"`
	E         jwkNumber `json:"e"`
	D         jwkNumber `json:"d"`
	P         jwkNumber `json:"p"`
	Q         jwkNumber `json:"q"`
	X         jwkNumber `json:"x"`
	Y         jwkNumber `json:"y"`
	Keys      []jwk     `json:"keys"`
}

// jwkNumber is a number in base64url, big endian.
type jwkNumber []byte

// UnmarshalText reads the number, with or without padding.
func (n *jwkNumber) UnmarshalText(text []byte) error {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(string(text), "="))
	if err != nil {
		return errors.New("a number is not base64url")
	}
	*n = b
	return nil
}

func (n jwkNumber) int() *big.Int { return new(big.Int).SetBytes(n) }

// readJWK reads the key that id names, or the only private one of a set.
func readJWK(text []byte, id string) (*signingKey, error) {
	var k jwk
	if json.Unmarshal(text, &k) != nil {
		return nil, errors.New("it is no JWK")
	}
	if k.Keys != nil {
		chosen, err := chooseKey(k.Keys, id)
		if err != nil {
			return nil, err
		}
		k = *chosen
	}
	if id == "" {
		id = k.ID
	}
	if id == "" {
		return nil, errors.New("the key has no kid: set auth.keyID to the one under which the server knows it")
	}
	private, err := k.private()
	if err != nil {
		return nil, err
	}
	s, err := newSigningKey(id, private)
	if err == nil && k.Algorithm != "" && k.Algorithm != s.algorithm {
		return nil, fmt.Errorf("the key is for %s: SMART needs %s or %s", k.Algorithm, algorithmRSA, algorithmEC)
	}
	return s, err
}

func chooseKey(all []jwk, id string) (*jwk, error) {
	all = slices.DeleteFunc(slices.Clone(all), func(k jwk) bool { return k.D == nil || id != "" && k.ID != id })
	switch {
	case len(all) == 1:
		return &all[0], nil
	case id != "":
		return nil, fmt.Errorf("it holds %d private keys with kid %q, one was expected: correct auth.keyID", len(all), id)
	}
	return nil, fmt.Errorf("it holds %d private keys: choose one with auth.keyID", len(all))
}

func (k *jwk) private() (any, error) {
	if k.D == nil {
		return nil, errors.New("the key is a public one: the private key is needed")
	}
	switch k.Type {
	case "RSA":
		return k.rsa()
	case "EC":
		return k.ec()
	}
	return nil, fmt.Errorf("the key is of type %q: SMART needs RSA or EC", k.Type)
}

var errBrokenKey = errors.New("the private key cannot be read: is the file whole?")

func (k *jwk) rsa() (*rsa.PrivateKey, error) {
	e := k.E.int()
	if !e.IsInt64() || e.Int64() > 1<<31-1 || len(k.P) == 0 || len(k.Q) == 0 {
		return nil, errors.New("the RSA key is not whole: it needs n, e, d, p and q")
	}
	private := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: k.N.int(), E: int(e.Int64())}, D: k.D.int(), Primes: []*big.Int{k.P.int(), k.Q.int()}}
	if private.Validate() != nil {
		return nil, errBrokenKey
	}
	private.Precompute()
	return private, nil
}

func (k *jwk) ec() (*ecdsa.PrivateKey, error) {
	curve := elliptic.P384()
	if k.Curve != curve.Params().Name {
		return nil, fmt.Errorf("the EC key is on curve %q: make one on P-384", k.Curve)
	}
	size := (curve.Params().BitSize + 7) / 8
	if max(len(k.D), len(k.X), len(k.Y)) > size {
		return nil, errBrokenKey
	}
	private, err := ecdsa.ParseRawPrivateKey(curve, k.D.int().FillBytes(make([]byte, size)))
	if err != nil {
		return nil, errBrokenKey
	}
	public, err := private.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return nil, errBrokenKey
	}
	if len(k.X) > 0 && !bytes.Equal(public[1:], append(k.X.int().FillBytes(make([]byte, size)), k.Y.int().FillBytes(make([]byte, size))...)) {
		return nil, errors.New("the two halves of the EC key do not belong together")
	}
	return private, nil
}
