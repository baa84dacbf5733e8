package chassis

import (
	"encoding/json"
	"io"
	"net/http"
)

const systemsPath = "/redfish/v1/Systems"

// Reset types of ComputerSystem.Reset.
const (
	resetOn      = "On"
	resetForceOn = "ForceOn"
	resetOff     = "ForceOff"
	resetRestart = "ForceRestart"
	resetCycle   = "PowerCycle"
)

func (c *Chassis) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+systemsPath, c.serveSystems)
	mux.HandleFunc("GET "+systemsPath+"/{id}", c.withSlot(c.serveSystem, Silent))
	mux.HandleFunc("POST "+systemsPath+"/{id}/Actions/ComputerSystem.Reset", c.withSlot(c.serveReset, Silent))
	return mux
}

type reference struct {
	ID string `json:"@odata.id"`
}

func (c *Chassis) serveSystems(w http.ResponseWriter, _ *http.Request) {
	members := []reference{}
	for _, id := range c.ids() {
		members = append(members, reference{systemsPath + "/" + id})
	}
	answer(w, http.StatusOK, map[string]any{
		"@odata.id": systemsPath, "Name": "Computer System Collection",
		"Members": members, "Members@odata.count": len(members),
	})
}

// withSlot finds the slot of a request. A slot with the fault given says
// nothing until the client or the chassis goes away.
func (c *Chassis) withSlot(serve func(http.ResponseWriter, *http.Request, *slot), silent FaultKind) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := c.slot(r.PathValue("id"))
		if s == nil {
			refuse(w, http.StatusNotFound, "Base.1.8.ResourceMissingAtURI", "no such system")
			return
		}
		if c.strikes(s, silent) == silent {
			select {
			case <-r.Context().Done():
			case <-c.done:
			}
			panic(http.ErrAbortHandler)
		}
		serve(w, r, s)
	}
}

func (c *Chassis) serveSystem(w http.ResponseWriter, r *http.Request, s *slot) {
	on := s.machine.IsOn()
	if c.strikes(s, Lies) == Lies {
		on = !on
	}
	id := systemsPath + "/" + r.PathValue("id")
	answer(w, http.StatusOK, map[string]any{
		"@odata.id": id, "Id": r.PathValue("id"), "Name": s.machine.Name(),
		"PowerState": map[bool]string{true: "On", false: "Off"}[on],
		"Actions": map[string]any{"#ComputerSystem.Reset": map[string]any{
			"target":                            id + "/Actions/ComputerSystem.Reset",
			"ResetType@Redfish.AllowableValues": []string{resetOn, resetForceOn, resetOff, resetRestart, resetCycle},
		}},
	})
}

func (c *Chassis) serveReset(w http.ResponseWriter, r *http.Request, s *slot) {
	var order struct{ ResetType string }
	if err := json.NewDecoder(io.LimitReader(r.Body, bodyBytesMax)).Decode(&order); err != nil {
		refuse(w, http.StatusBadRequest, "Base.1.8.MalformedJSON", err.Error())
		return
	}
	switch c.strikes(s, Refuses, Forgets) {
	case Refuses:
		refuse(w, http.StatusInternalServerError, "Base.1.8.InternalError", "the controller is broken, as ordered")
		return
	case Forgets:
		c.count(s)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.order.Lock()
	defer s.order.Unlock()
	if status, text := s.reset(order.ResetType); status != http.StatusNoContent {
		refuse(w, status, "Base.1.8.ActionParameterNotSupported", text)
		return
	}
	c.count(s)
	w.WriteHeader(http.StatusNoContent)
}

// reset carries out an order. Like real controllers it refuses to do what is
// already so.
func (s *slot) reset(kind string) (status int, text string) {
	on := s.machine.IsOn()
	switch kind {
	case resetOn, resetForceOn:
		if on {
			return http.StatusConflict, "the system is on"
		}
		s.machine.PowerOn()
	case resetOff:
		if !on {
			return http.StatusConflict, "the system is off"
		}
		s.machine.PowerOff()
	case resetRestart, resetCycle:
		s.machine.PowerOff()
		s.machine.PowerOn()
	default:
		return http.StatusBadRequest, "unknown ResetType"
	}
	return http.StatusNoContent, ""
}

func (c *Chassis) count(s *slot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.orders++
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client went away
}

func refuse(w http.ResponseWriter, status int, code, text string) {
	answer(w, status, map[string]any{"error": map[string]any{"code": code, "message": text}})
}
