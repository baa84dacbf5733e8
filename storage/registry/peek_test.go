package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/storage/kv/pebblekv"
)

// TestPeek: while many change the records of few nodes, with the snapshot
// always behind, what a transaction peeks at is what it would read. Some
// transactions fail, and some delete the node.
func TestPeek(t *testing.T) {
	t.Parallel()
	store, err := pebblekv.Open("/db", pebblekv.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	reg, err := Open(t.Context(), store, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	const nodes, writers, turns = 3, 8, 150
	if err := reg.Import(t.Context(), &SiteFile{Types: []NodeType{{Name: "pc"}}, Projects: []Project{{ID: "p"}},
		Experiments: []Experiment{{Project: "p", ID: "e"}}}); err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	for seed := range uint64(writers) {
		rng := rand.New(rand.NewPCG(seed, 9))
		work.Go(func() {
			for range turns {
				id, what := fmt.Sprint("pc", rng.IntN(nodes)), rng.IntN(8)
				_, err := reg.Update(context.Background(), func(tx *Tx) error {
					return errors.Join(peeksRight(tx, id), changeOne(tx, id, what), peeksRight(tx, id))
				})
				if err != nil && !errors.Is(err, ErrInvalid) && !errors.Is(err, errGiveUp) {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
}

var errGiveUp = errors.New("given up")

// changeOne changes one record of a node.
func changeOne(tx *Tx, id string, what int) error {
	switch what {
	case 0:
		return Put(tx, &Node{ID: id, Type: "pc"})
	case 1, 2:
		state, err := Lookup[NodeState](tx, id)
		if err != nil {
			return err
		}
		if state == nil {
			state = &NodeState{Node: id}
		}
		state.Seq++
		return Put(tx, state)
	case 3:
		return Put(tx, &Command{Node: id, Kind: "REBOOT", Generation: uint64(tx.Revision())})
	case 4:
		return Delete[Command](tx, id)
	case 5:
		return errors.Join(Put(tx, &BootSelection{Node: id, NextCmdline: fmt.Sprint(tx.Revision())}), Put(tx, &NodeLoad{Node: id}))
	case 6:
		return errors.Join(Put(tx, &Reservation{Node: id, Experiment: "p/e"}), errGiveUp)
	}
	return Delete[Node](tx, id)
}

func peeksRight(tx *Tx, id string) error {
	return errors.Join(peekRight[Node](tx, id), peekRight[NodeState](tx, id), peekRight[BootSelection](tx, id),
		peekRight[Reservation](tx, id), peekRight[Command](tx, id), peekRight[NodeLoad](tx, id))
}

func peekRight[T any, P recordPtr[T]](tx *Tx, id string) error {
	peeked, err := Peek[T, P](tx, id)
	if err != nil {
		return err
	}
	read, err := Lookup[T, P](tx, id)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(peeked, read) {
		return fmt.Errorf("peeked at %+v, the store has %+v", peeked, read)
	}
	return nil
}
