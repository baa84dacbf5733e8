package framed

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"net"

	"hyzer/netsvc/tmc2"
)

// Key is what a node proves with who it is.
type Key struct {
	Text string // a PRIVKEY, or tmc2.VNodeKey of VNode; "" is none
	// VNode is the virtual node that the key was made for; "": the key is the
	// node's own.
	VNode string
}

// proof is an empty proof with the key's name.
func (k Key) proof() tmc2.Proof {
	if k.VNode != "" {
		return tmc2.Proof{Key: tmc2.KeyVNode, Node: k.VNode}
	}
	return tmc2.Proof{Key: tmc2.KeyNode}
}

// overTLS puts a proof into a HELLO that is bound to the connection. One that
// exports nothing goes without.
func (k Key) overTLS(conn *tls.Conn, hello *tmc2.Hello) {
	state := conn.ConnectionState()
	exported, err := state.ExportKeyingMaterial(tmc2.ExporterLabel, nil, tmc2.ExporterBytes)
	if err != nil {
		return
	}
	hello.Proof = k.proof()
	hello.Proof.MAC = tmc2.ProofOverTLS(k.Text, exported, hello.BootID)
}

// answer is the second HELLO, for a server that has sent a nonce.
func (k Key) answer(mine, server *tmc2.Hello) tmc2.Hello {
	hello := *mine
	hello.Nonce, hello.Proof = tmc2.Nonce{}, k.proof()
	hello.Proof.MAC = tmc2.ProofInClear(k.Text, mine.Nonce, server.Nonce, mine.BootID)
	return hello
}

// greet exchanges HELLOs on a new connection, with a proof if there is a key. A
// proof stands for the PRIVKEY, which is not for everybody on the way to read.
func (c *Client) greet(ctx context.Context, raw net.Conn) (*conn, error) {
	hello := tmc2.UsualHello()
	hello.BootID = c.BootID
	if c.ReplyVersion != 0 {
		hello.ReplyVersion = uint16(c.ReplyVersion)
	}
	if c.Key.Text != "" {
		if secured, ok := raw.(*tls.Conn); ok {
			c.Key.overTLS(secured, &hello)
		} else {
			_, _ = rand.Read(hello.Nonce[:]) // which never fails
		}
	}
	return greet(ctx, raw, &hello, c.Key)
}

// shows says whether a request shall be made again with the PRIVKEY: the server
// knows the node neither by its address nor by its proof.
func (c *Client) shows(r *tmc2.Request, code tmc2.Code) bool {
	return code == tmc2.CodeUnknownNode && len(r.PrivKey) > 0 && !c.shown.Swap(true)
}
