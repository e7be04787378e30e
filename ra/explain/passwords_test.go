package explain_test

import (
	"strings"
	"testing"

	"ciscora/ra/explain/explaintest"
)

// Who mails a log writes the account beside it, in his language.
func TestAPasswordInASentenceIsToldAndNotShown(t *testing.T) {
	c := catalog(t)
	for _, text := range []string{
		"the password is: S3cret-word", "password is S3cret-word", "The Password is hunter", "password was: wrong-but-hunter", "password is now 'S3cret word'",
		"password for ciscora is S3cret-word", "the password of the account LAB\\ciscora: hunter", "password (of ciscora): hunter", "the password we type there is S3cret-word",
		"pwd S3cret-word", "pw: hunter", "PW hunter22", "passcode 481516", `password "correct horse"`, "passphrase “correct horse”", "password (S3cret-word)", "password -> hunter",
		"I changed it, password set to hunter", "S3cret-word is the password", "password=S3c,ret;wo'rd", "https://ciscora:S3c@ret-word@ca/certsrv",
		"wrong password? password S3cret-word", "the password is wrong, the password is hunter",
		"Das Kennwort lautet hunter", "Kennwort für das Konto ciscora ist: hunter", "Passwort: hunter", "S3cret-word ist das Kennwort", "Passwort „hunter zwei“",
		"le mot de passe est hunter", "mot de passe du compte ciscora : hunter", "mdp S3cret-word", "la contraseña es hunter",
		"пароль: hunter", "пароль для ciscora: hunter", "пароль S3cret-word",
		"密码是hunter，登录失败", "密码：hunter，登录失败", "ciscora的密碼為 hunter。", "密码 S3cret-word", "密碼「hunter」", "口令:hunter", "パスワードはhunterです", "パスワード：hunter",
		"كلمة المرور هي hunter", "كلمة السر: hunter", "كلمة المرور: \u202ahunter\u202c", "كلمة المرور للحساب ciscora هي hunter",
	} {
		for _, line := range []string{"2019/03/05 12:31:21 [error] 31067#0: *5 error " + text, text + " error: failed", "> [error] failed: " + text} {
			report := read(t, c, explaintest.Input("mail", []byte("[crit] disk failed\n"+line+"\n")))
			out := printed(t, report)
			for _, secret := range []string{"hunter", "S3c", "ret-word", "ret;wo", "wo'rd", "correct horse", "481516"} {
				if strings.Contains(out, secret) {
					t.Errorf("%s is shown: %s", line, out)
				}
			}
			if len(report.Secrets) != 1 || report.Secrets[0].What != "a password" || report.Secrets[0].Line != 2 {
				t.Errorf("%s: told as %+v", line, report.Secrets)
			}
			if !strings.Contains(out, "rror") {
				t.Errorf("%s: nothing is left: %s", line, out)
			}
		}
	}
}

// Tools, files of settings and structured logs write passwords in their own ways.
func TestAPasswordInAToolsOwnFormIsNotShown(t *testing.T) {
	c := catalog(t)
	for name, text := range map[string]string{
		"Russian, in capitals":                    "ПАРОЛЬ: hunter",
		"a long s, which folds to an s":           "pa\u017fsword: hunter",
		"JSON within JSON":                        `{\"password\":\"S3cret-word\"}`,
		"JSON within JSON, with blanks":           `{\"user\":\"x\", \"password\": \"correct horse hunter\"}`,
		"a quotation mark within, in JSON":        `{"password":"correct\"hunter"}`,
		"a quotation mark within, as a backslash": `password="correct \" horse hunter"`,
		"a quotation mark within, doubled":        `password='correct '' hunter'`,
		"a quotation that is cut off":             `password="correct horse hunter`,
		"in angle brackets":                       "password = <hunter>",
		"an attribute of XML":                     `<add key="Password" value="hunter"/>`,
		"an object of JSON":                       `password: {"value": "hunter"}`,
		"a list of JSON":                          `password: ["hunter"]`,
		"two signs":                               "password == hunter", "a sign of Go": "password := hunter",
		"pki":         `pki --est --url https://127.0.0.1:8084 --userpass 'LAB\ciscora:hunter'`,
		"estclient":   `estclient -e -s 127.0.0.1 -p 8084 -u 'LAB\ciscora' -h hunter -o .`,
		"a curl.conf": `user = "LAB\\ciscora:hunter"`,
		"certreq":     `certreq -Username x -p hunter`, "certutil": "certutil -p hunter x.pfx", "openssl": "openssl enc -aes128 -k hunter", "sshpass": "sshpass -p hunter ssh x",
		"PowerShell":  `ConvertTo-SecureString "hunter" -AsPlainText`,
		"IOS, enable": "enable secret 5 S3cret-word", "IOS, an account": "username x secret S3cret-word", "IOS, type 7": "username x password 7 S3cret-word", "IOS, SNMP": "snmp-server community hunter RO",
		"a key of Azure": "AccountKey=S3cret-word==;x", "a signature of Azure": "https://x/?sig=S3cret-word", "an access signature": "SharedAccessSignature=S3cret-word",
		"a bearer's token by itself": "sent Bearer S3cret-word", "Basic by itself": "sent basic TEFCXGNpc2NvcmE6aHVudGVy",
		"base64 of an account": "sent TEFCXGNpc2NvcmE6aHVudGVy",
		"a list":               "passwords: S3cret-word, S3cret-two", "two in a row": "passwords: S3cret-word S3cret-two",
		"from one to another": "Password for ciscora was changed from S3cret-word to S3cret-two", "not this one but that": "the password is not S3cret-word but S3cret-two",
		"an aside": "password (case sensitive) S3cret-word", "an aside and a sign": "Passwort (neu): S3cret-word", "a pass phrase": "pass phrase: hunter",
		"German, set": `Das Passwort des Kontos LAB\ciscora haben wir auf S3cret-word gesetzt`, "German, changed": "Kennwort wurde in S3cret-word geändert",
		"German, is called": "Passwort heißt hunter", "German, is called, in ASCII": "das Passwort heisst hunter", "German, account": "Zugangsdaten: ciscora / hunter", "English, account": "credentials: ciscora/hunter",
		"Chinese, changed": "密码已改为hunter", "Chinese, set": "密码设置为 hunter", "Arabic, new": "كلمة المرور الجديدة هي hunter",
	} {
		t.Run(name, func(t *testing.T) {
			for _, line := range []string{"2019/03/05 12:31:21 [error] 31067#0: *5 error " + text, "error: " + text} {
				report := read(t, c, explaintest.Input("mail", []byte("[crit] disk failed\n"+line+"\n")))
				out := printed(t, report)
				for _, secret := range []string{"hunter", "S3cret", "correct", "TEFCX"} {
					if strings.Contains(out, secret) {
						t.Errorf("%s is shown: %s", line, out)
					}
				}
				if !strings.Contains(out, "rror") || !strings.Contains(out, "(hidden)") {
					t.Errorf("%s: the line is not there: %s", line, out)
				}
			}
		})
	}
}

func TestAPasswordOnTheNextLineIsToldAndNotShown(t *testing.T) {
	c := catalog(t)
	for text, line := range map[string]int{
		"the password:\nS3cret-word error: failed": 3, "the password:\n\nfail-error:hunter": 4, "> the password is\n> [error]hunter": 3,
		"Das Kennwort lautet:\r\nERROR-hunter\r\n": 3, "密码是\nERROR-hunter": 3, "كلمة المرور:\nERROR-hunter": 3, "password for ciscora\nS3cret-word ERROR failed": 3,
		"2019/03/05 12:31:21 [error] 31067#0: *5 error with password:\nS3cret-word failed": 3,
		"2019/03/05 12:31:21 [error] 31067#0: *5 error with password\nS3cret-word failed":  3,
		"Password:\n\"ERROR correct hunter\"":                                              3,
	} {
		report := read(t, c, explaintest.Input("mail", []byte("[crit] disk failed\n"+text+"\n")))
		if out := printed(t, report); strings.Contains(out, "hunter") || strings.Contains(out, "S3cret") {
			t.Errorf("%q is shown: %s", text, out)
		}
		if len(report.Secrets) != 1 || report.Secrets[0].What != "a password" || report.Secrets[0].Line != line {
			t.Errorf("%q: told as %+v", text, report.Secrets)
		}
	}
}

// What a failure says of a password is evidence.
func TestWhatIsSaidOfAPasswordIsShown(t *testing.T) {
	c := catalog(t)
	for _, text := range []string{
		"error: the password is wrong", "error: password is incorrect, account locked", "error: the password of ciscora is expired", "error: password was not accepted (0xC000006A)",
		"error: bad password 0xC000006A STATUS_WRONG_PASSWORD", "error: wrong password for user LAB\\ciscora from 10.0.0.1", "error: wrong password (EST_ERR_AUTH_FAIL)", "error: password rc=22", "error: what ciscora typed is no password", "error: nothing is the password",
		"error: wrong password for LAB\\ciscora, not tried again as LAB\\other", "error: Basic authentication is switched off", "error: openssl s_client -connect ca:443 -showcerts failed", "error: signature=sha256",
		"error: password authentication failed for user ciscora", "error: TAM password already exists, no need to create. 12:31:03.358", "error: password 2147942402", "error: Das Kennwort ist abgelaufen",
		"error: le mot de passe est incorrect", "error: ra enroll --password-file /etc/ra/pw failed", "error: bypass of the proxy failed", "error: passed 3 of 4", "error: no password https://ca.example.com/certsrv",
		"Password:\nerror: the list has no template CiscoRA2", "Password:\nVerify Password:\nerror: cancelled by user ciscora2", "error: wrong password\n2019/03/05 12:31:21 [error] 31067#0: *5 login failed a1b2c3",
		"error: wrong password\n2026-11-27T10:00:00Z host1 error: login failed", "error: 密码错误", "error: パスワードが違います", "error: كلمة المرور غير صحيحة", "error: неверный пароль",
	} {
		report := read(t, c, explaintest.Input("mail", []byte("[crit] disk failed\n"+text+"\n")))
		out := printed(t, report)
		lines := strings.Split(text, "\n")
		if last := lines[len(lines)-1]; !strings.Contains(out, last) {
			t.Errorf("%q is not shown: %s", last, out)
		}
		if len(report.Secrets) != 0 {
			t.Errorf("%s: told as %+v", text, report.Secrets)
		}
	}
}
