package desk

// State is all that the bench shows.
type State struct {
	Tokens   []TokenState   `json:"tokens"`
	Network  bool           `json:"network"`
	Answers  string         `json:"answers"` // which of Choices the CA does now
	Choices  []Answer       `json:"choices"`
	Date     string         `json:"date"` // the kiosk's date, "2026-11-23"
	Days     int            `json:"days"` // by how many days it is off
	Programs []ProgramState `json:"programs"`
}

// TokenState is one token on the bench.
type TokenState struct {
	Key     string `json:"key"`
	Role    string `json:"role"` // the port it goes into: citizen, officer, other
	Title   string `json:"title"`
	TitleFa string `json:"titleFa"`
	Note    string `json:"note"` // who, and the PIN of this throw-away token
	In      bool   `json:"in"`
	Odd     bool   `json:"odd"` // for trying what goes wrong; listed apart
}

// Answer is one way for the CA to behave.
type Answer struct {
	Key   string `json:"key"`
	Title string `json:"title"`
}

// ProgramState is one of the kiosk's programs.
type ProgramState struct {
	Name     string `json:"name"`
	Running  bool   `json:"running"`
	Restarts int    `json:"restarts"`
}

// Action is one thing that can happen on the bench.
type Action struct {
	Do   string `json:"do"`   // insert, remove, network, answers, date, power
	What string `json:"what"` // insert, remove: the token's key; answers: the answer's key
	On   bool   `json:"on"`   // network
	Days int    `json:"days"` // date
}
