package display

import "strings"

// screenPair is one screen of the family in both languages.
type screenPair struct{ fa, en Screen }

// in returns the screen in a language, with what the language decides.
func (p screenPair) in(lang string) Screen {
	s := p.en
	s.ID = p.fa.ID
	s.Mood = p.fa.Mood
	if lang == "fa" {
		s = p.fa
		s.RTL = true
	}
	s.Lang = lang
	return s
}

// receiptText has the form and length of a real receipt: 252 characters.
var receiptText = "KR1:" + strings.Repeat("6BFOXN%TSMAHN-H0", 16)[:248]

const (
	// A phrase in the other language is isolated, or its pieces would be put in
	// the order of this one.
	bannerFa = "زبان: کلید L برای انگلیسی · \u2066Language: press L for English\u2069"
	bannerEn = "Language: press L for Persian · \u2067زبان: کلید L برای فارسی\u2069"
)

// family is the representative set: every mood and every part of a Screen.
var family = []screenPair{
	{
		fa: Screen{ID: "idle", Mood: Calm, Title: "به پایانهٔ مُهر خوش آمدید",
			Lines:  []string{"برای تمدید گواهی امضا، توکن خود را در درگاه روبه\u200cرو بگذارید."},
			Token:  TokenHint{TokenInsert, "توکن را وارد کنید"},
			Banner: bannerFa},
		en: Screen{Title: "Welcome to Mohr",
			Lines:  []string{"To renew your signing certificate, put your token into the port in front of you."},
			Token:  TokenHint{TokenInsert, "Insert your token"},
			Banner: bannerEn},
	},
	{
		fa: Screen{ID: "holder", Mood: Ask, Title: "این گواهی از آنِ شماست؟",
			Facts: []Fact{
				{Label: "نام", Value: "سارا احمدی\u200cنیا"},
				{Label: "کد ملی", Value: "049***0899", LTR: true},
				{Label: "پایان اعتبار", Value: "۱۴۰۴/۰۹/۲۲ (۲۰ روز دیگر)"},
				{Label: "شماره سریال", Value: "5A:3F:00:9C:71:E2", LTR: true},
				{Label: "توکن", Value: "Feitian ePass2003 در درگاه ۱"},
			},
			Choices: []Choice{{ID: "yes", Label: "بله، ادامه", Key: '\n', Primary: true}, {ID: "no", Label: "خیر", Key: 'C'}},
			Token:   TokenHint{TokenKeep, "توکن را بیرون نکشید"},
			Banner:  bannerFa},
		en: Screen{Title: "Is this certificate yours?",
			Facts: []Fact{
				{Label: "Name", Value: "سارا احمدی\u200cنیا"},
				{Label: "National ID", Value: "049***0899", LTR: true},
				{Label: "Valid until", Value: "2025-12-13 (20 days left)"},
				{Label: "Serial number", Value: "5A:3F:00:9C:71:E2", LTR: true},
				{Label: "Token", Value: "Feitian ePass2003 in port 1"},
			},
			Choices: []Choice{{ID: "yes", Label: "Yes, go on", Key: '\n', Primary: true}, {ID: "no", Label: "No", Key: 'C'}},
			Token:   TokenHint{TokenKeep, "Do not pull the token"},
			Banner:  bannerEn},
	},
	{
		fa: Screen{ID: "card", Mood: Ask, Title: "کد ملی را از روی کارت بخوانید",
			Lines:   []string{"متصدی کد ملی را از کارتی که در دست دارد وارد می\u200cکند."},
			Input:   &Input{Prompt: "کد ملی (۱۰ رقم)", Value: "0499370", Keypad: true},
			Choices: []Choice{{ID: "cancel", Label: "انصراف", Key: 'C'}},
			Banner:  bannerFa},
		en: Screen{Title: "Read the national ID off the card",
			Lines:   []string{"The officer types the national ID from the card in hand."},
			Input:   &Input{Prompt: "National ID (10 digits)", Value: "0499370", Keypad: true},
			Choices: []Choice{{ID: "cancel", Label: "Cancel", Key: 'C'}},
			Banner:  bannerEn},
	},
	{
		fa: Screen{ID: "document", Mood: Ask, Title: "نشان امنیتی ۲ از ۳: طرح برجسته",
			Lines:   []string{"کارت را کج کنید. آیا نقش خورشید روی کارت با دست حس می\u200cشود و رنگ آن از سبز به آبی می\u200cگردد؟"},
			Choices: []Choice{{ID: "yes", Label: "هست", Key: '1', Primary: true}, {ID: "no", Label: "نیست", Key: '2'}, {ID: "unsure", Label: "مطمئن نیستم", Key: '3'}},
			Banner:  bannerFa},
		en: Screen{Title: "Security feature 2 of 3: raised print",
			Lines:   []string{"Tilt the card. Can the sun be felt with a finger, and does its colour turn from green to blue?"},
			Choices: []Choice{{ID: "yes", Label: "It is there", Key: '1', Primary: true}, {ID: "no", Label: "It is not", Key: '2'}, {ID: "unsure", Label: "Not sure", Key: '3'}},
			Banner:  bannerEn},
	},
	{
		fa: Screen{ID: "consent", Mood: Ask, Title: "آنچه امضا می\u200cشود",
			Facts: []Fact{
				{Label: "درخواست", Value: "تمدید گواهی با کلید تازه"},
				{Label: "دارنده", Value: "سارا احمدی\u200cنیا (Sara Ahmadinia [Sign])"},
				{Label: "مرجع صدور", Value: "مرکز میانی عام"},
				{Label: "اثر انگشت کلید", Value: "9F86 D081 884C 7D65", LTR: true},
			},
			Choices: []Choice{{ID: "sign", Label: "برای امضا نگه دارید", Key: '\n', Primary: true, Hold: true, Held: 60}, {ID: "cancel", Label: "انصراف", Key: 'C'}},
			Token:   TokenHint{TokenKeep, "توکن را بیرون نکشید"}},
		en: Screen{Title: "What will be signed",
			Facts: []Fact{
				{Label: "Request", Value: "Renewal with a new key"},
				{Label: "Holder", Value: "Sara Ahmadinia [Sign] (سارا احمدی\u200cنیا)"},
				{Label: "Issuer", Value: "General intermediate CA"},
				{Label: "Key fingerprint", Value: "9F86 D081 884C 7D65", LTR: true},
			},
			Choices: []Choice{{ID: "sign", Label: "Hold to sign", Key: '\n', Primary: true, Hold: true, Held: 60}, {ID: "cancel", Label: "Cancel", Key: 'C'}},
			Token:   TokenHint{TokenKeep, "Do not pull the token"}},
	},
	{
		fa: Screen{ID: "pin", Mood: Ask, Title: "رمز توکن را وارد کنید",
			Lines:   []string{"۳ بار دیگر می\u200cتوانید بیازمایید. با هر ورود، فقط یک بار آزموده می\u200cشود."},
			Input:   &Input{Prompt: "رمز (PIN)", Value: "●●●●", Keypad: true},
			Choices: []Choice{{ID: "cancel", Label: "انصراف", Key: 'C'}},
			Token:   TokenHint{TokenKeep, "توکن را بیرون نکشید"}},
		en: Screen{Title: "Enter the token's PIN",
			Lines:   []string{"3 tries are left. One entry uses at most one try."},
			Input:   &Input{Prompt: "PIN", Value: "●●●●", Keypad: true},
			Choices: []Choice{{ID: "cancel", Label: "Cancel", Key: 'C'}},
			Token:   TokenHint{TokenKeep, "Do not pull the token"}},
	},
	{
		fa: Screen{ID: "working", Mood: Calm, Title: "کلید تازه ساخته می\u200cشود",
			Lines:    []string{"این کار تا نیم دقیقه زمان می\u200cبرد."},
			Progress: &Progress{Done: 2, Total: 5, Text: "گام ۳ از ۵"},
			Token:    TokenHint{TokenKeep, "توکن را بیرون نکشید"}},
		en: Screen{Title: "Making the new key",
			Lines:    []string{"This takes up to half a minute."},
			Progress: &Progress{Done: 2, Total: 5, Text: "Step 3 of 5"},
			Token:    TokenHint{TokenKeep, "Do not pull the token"}},
	},
	{
		fa: Screen{ID: "receipt", Mood: Done, Title: "درخواست ثبت شد",
			Lines:     []string{"درخواست شما در این پایانه ثبت شد و هنوز پذیرفته نشده است.", "از رسید عکس بگیرید."},
			Facts:     []Fact{{Label: "کد رهگیری", Value: "۱۴۰۴ ۰۰۰۱ ۲۷۳۵", LTR: true}, {Label: "با رقم لاتین", Value: "1404 0001 2735", LTR: true}},
			QR:        receiptText,
			QRCaption: "رسید را در mohr.example بیازمایید",
			Choices:   []Choice{{ID: "ok", Label: "عکس گرفتم", Key: '\n', Primary: true}}},
		en: Screen{Title: "Request recorded",
			Lines:     []string{"Your request is recorded in this kiosk. It is not yet accepted.", "Take a photo of the receipt."},
			Facts:     []Fact{{Label: "Tracking code", Value: "1404 0001 2735", LTR: true}},
			QR:        receiptText,
			QRCaption: "Check the receipt at mohr.example",
			Choices:   []Choice{{ID: "ok", Label: "I have a photo", Key: '\n', Primary: true}}},
	},
	{
		fa: Screen{ID: "loaded", Mood: Done, Title: "گواهی تازه روی توکن است",
			Lines:   []string{"گواهی تا ۱۴۰۵/۰۹/۲۲ معتبر است.", "رمز توکن همان رمز پیشین است."},
			Token:   TokenHint{TokenFree, "اکنون می\u200cتوانید توکن را بردارید"},
			Choices: []Choice{{ID: "ok", Label: "پایان", Key: '\n', Primary: true}}},
		en: Screen{Title: "The new certificate is on your token",
			Lines:   []string{"It is valid until 2026-12-13.", "The PIN is the same as before."},
			Token:   TokenHint{TokenFree, "You may take your token now"},
			Choices: []Choice{{ID: "ok", Label: "Finish", Key: '\n', Primary: true}}},
	},
	{
		fa: Screen{ID: "refused", Mood: Alarm, Title: "تمدید انجام نشد",
			Lines: []string{"کد ملی روی کارت با کد ملی گواهی یکی نیست. چیزی امضا نشد و توکن دست\u200cنخورده است.", "کارت ملی دارندهٔ توکن را بیاورید و از نو آغاز کنید."},
			Facts: []Fact{{Label: "قاعده", Value: "ID-CARD-MISMATCH", LTR: true}, {Label: "زمان", Value: "۱۴۰۴/۰۹/۰۲، ساعت ۱۶:۱۳"}},
			Choices: []Choice{{ID: "again", Label: "از نو", Key: '\n', Primary: true},
				{ID: "end", Label: "پایان", Key: 'C'}},
			Token: TokenHint{TokenFree, "می\u200cتوانید توکن را بردارید"}},
		en: Screen{Title: "Renewal refused",
			Lines: []string{"The national ID on the card is not the one in the certificate. Nothing was signed and the token is as it was.", "Bring the card of the token's holder and start again."},
			Facts: []Fact{{Label: "Rule", Value: "ID-CARD-MISMATCH", LTR: true}, {Label: "Time", Value: "2025-11-23 16:13"}},
			Choices: []Choice{{ID: "again", Label: "Start again", Key: '\n', Primary: true},
				{ID: "end", Label: "End", Key: 'C'}},
			Token: TokenHint{TokenFree, "You may take your token"}},
	},
	{
		fa: Screen{ID: "bench", Mood: Calm, Title: "کدام مدرک در دست شماست؟ متصدی گرامی، یکی از مدارک زیر را برگزینید تا نشان\u200cهای امنیتی آن پرسیده شود",
			Lines: []string{"اگر مدرکی جز این\u200cهاست، انصراف دهید."},
			Choices: []Choice{
				{ID: "card", Label: "کارت ملی هوشمند", Key: '1', Primary: true}, {ID: "old", Label: "کارت ملی قدیمی", Key: '2'},
				{ID: "birth", Label: "شناسنامه", Key: '3'}, {ID: "passport", Label: "گذرنامه", Key: '4'},
				{ID: "licence", Label: "گواهینامهٔ رانندگی", Key: '5'}, {ID: "cancel", Label: "انصراف", Key: 'C'}},
			Progress: &Progress{Done: 17, Total: 40, Text: "بازخوانی دفتر: ۱۷ از ۴۰"},
			Banner:   "ساعت دستگاه تأیید نشده است · " + bannerFa},
		en: Screen{Title: "Which document is in your hand? Officer, please choose one of these, so that its security features can be asked for",
			Lines: []string{"If it is none of these, cancel."},
			Choices: []Choice{
				{ID: "card", Label: "National smart card", Key: '1', Primary: true}, {ID: "old", Label: "Old national card", Key: '2'},
				{ID: "birth", Label: "Birth certificate", Key: '3'}, {ID: "passport", Label: "Passport", Key: '4'},
				{ID: "licence", Label: "Driving licence", Key: '5'}, {ID: "cancel", Label: "Cancel", Key: 'C'}},
			Progress: &Progress{Done: 17, Total: 40, Text: "Reading the journal: 17 of 40"},
			Banner:   "Clock not confirmed · " + bannerEn},
	},
}
