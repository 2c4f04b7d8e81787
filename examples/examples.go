// Package examples holds configurations and mapping files to start from. The
// demo's are part of the binary, so that it runs without a checkout.
package examples

import "embed"

// Demo holds the configuration and the mapping files of the demo, in demo/.
//
//go:embed demo/*.yaml demo/*.json
var Demo embed.FS
