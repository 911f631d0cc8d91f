// Reads from standard input what this project wrote, and checks it with golang.org/x/mod/sumdb alone:
// signatures of checkpoints (note), leaves, tiles, inclusion and consistency (tlog). Prints what failed.
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type input struct {
	Key         string
	Old, New    string
	Events      []string
	Inclusion   map[string][]tlog.Hash
	Consistency []tlog.Hash
	Tiles       map[string][]byte
}

var failed = false

func check(what string, err error) {
	if err != nil {
		failed = true
		fmt.Println(what+":", err)
	}
}

// head opens a signed checkpoint and reads its size and root.
func head(signed string, keys note.Verifiers) tlog.Tree {
	opened, err := note.Open([]byte(signed), keys)
	check("note", err)
	if err != nil {
		return tlog.Tree{}
	}
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check("size", err)
	root, err := base64.StdEncoding.DecodeString(lines[2])
	check("root", err)
	tree := tlog.Tree{N: size}
	copy(tree.Hash[:], root)
	return tree
}

func main() {
	var given input
	check("input", json.NewDecoder(os.Stdin).Decode(&given))
	key, err := note.NewVerifier(given.Key)
	check("key", err)
	if failed {
		os.Exit(1)
	}
	keys := note.VerifierList(key)
	old, now := head(given.Old, keys), head(given.New, keys)
	for text, path := range given.Inclusion {
		index, _ := strconv.ParseInt(text, 10, 64)
		leaf := tlog.RecordHash([]byte(given.Events[index]))
		check("inclusion "+text, tlog.CheckRecord(path, now.N, now.Hash, index, leaf))
	}
	check("consistency", tlog.CheckTree(given.Consistency, now.N, now.Hash, old.N, old.Hash))
	for index, event := range given.Events {
		tile := tlog.TileForIndex(8, tlog.StoredHashIndex(0, int64(index)))
		tile.W = min(256, int(now.N)-int(tile.N)*256)
		data, found := given.Tiles[fmt.Sprintf("%d/%d", tile.L, tile.N)]
		if !found {
			check("tile", fmt.Errorf("%v is missing", tile))
			continue
		}
		hash, err := tlog.HashFromTile(tile, data, tlog.StoredHashIndex(0, int64(index)))
		check("tile", err)
		if hash != tlog.RecordHash([]byte(event)) {
			check("tile", fmt.Errorf("another hash for event %d", index))
		}
	}
	if failed {
		os.Exit(1)
	}
	fmt.Println("ok", now.N)
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}
