package certsrv

import "html/template"

// words are what a page says in its language. What clients read stands in ids and
// codes, the same in every language (docs/reference/certsrv.md 0, fact 8).
type words struct {
	Welcome, Submit, Issued, IssuedInfo, Pending, PendingInfo, Denied, DeniedInfo string
	RequestID                                                                     string        // stands before the number
	Disposition                                                                   string        // stands before the CA's message
	Open, Close                                                                   template.HTML // the quotes around it
	Error, Failed                                                                 string
}

// wordsIn returns the words of a language; English for those it does not know.
func wordsIn(language string) words {
	switch language {
	case "fr":
		return words{
			Welcome: "Bienvenue", Submit: "Envoyer une demande de certificat",
			Issued: "Certificat émis", IssuedInfo: "Le certificat que vous avez demandé a été émis.",
			Pending: "Certificat en attente", PendingInfo: "Votre demande a été reçue. Un administrateur doit émettre le certificat.",
			Denied: "Demande refusée", DeniedInfo: "Votre demande de certificat a été refusée.",
			RequestID: "L'identificateur de votre demande est", Disposition: "Le message de disposition est", Open: "«", Close: "»",
			Error: "Erreur", Failed: "Votre demande a échoué.",
		}
	case "de":
		return words{
			Welcome: "Willkommen", Submit: "Zertifikatanforderung einreichen",
			Issued: "Zertifikat ausgestellt", IssuedInfo: "Das angeforderte Zertifikat wurde ausgestellt.",
			Pending: "Zertifikat steht aus", PendingInfo: "Die Anforderung ist eingegangen. Ein Administrator muss das Zertifikat ausstellen.",
			Denied: "Anforderung abgelehnt", DeniedInfo: "Die Zertifikatanforderung wurde abgelehnt.",
			RequestID: "Die Anforderungskennung lautet", Disposition: "Die Meldung dazu lautet", Open: "„", Close: "“",
			Error: "Fehler", Failed: "Die Anforderung ist fehlgeschlagen.",
		}
	case "ja":
		return words{
			Welcome: "ようこそ", Submit: "証明書の要求の送信",
			Issued: "証明書は発行されました", IssuedInfo: "要求された証明書が発行されました。",
			Pending: "保留中の証明書", PendingInfo: "要求を受け付けました。管理者の承認が必要です。",
			Denied: "要求は拒否されました", DeniedInfo: "証明書の要求は拒否されました。",
			RequestID: "要求 ID:", Disposition: "処理のメッセージ:", Open: "\"", Close: "\"",
			Error: "エラー", Failed: "要求は失敗しました。",
		}
	case "ru":
		return words{
			Welcome: "Добро пожаловать", Submit: "Отправка запроса",
			Issued: "Сертификат выдан", IssuedInfo: "Запрошенный сертификат выдан.",
			Pending: "Ожидание сертификата", PendingInfo: "Запрос получен. Администратор должен выдать сертификат.",
			Denied: "Запрос отклонен", DeniedInfo: "Запрос сертификата отклонен.",
			RequestID: "Код запроса:", Disposition: "Сообщение:", Open: "«", Close: "»",
			Error: "Ошибка", Failed: "Запрос не выполнен.",
		}
	}
	return words{
		Welcome: "Welcome", Submit: "Submit a Certificate Request",
		Issued: "Certificate Issued", IssuedInfo: "The certificate you requested was issued to you.",
		Pending: "Certificate Pending", PendingInfo: "Your certificate request has been received. An administrator has to issue the certificate before it can be fetched.",
		Denied: "Certificate Request Denied", DeniedInfo: "Your certificate request was denied.",
		RequestID: "Your Request Id is", Disposition: "The disposition message is", Open: "\"", Close: "\"",
		Error: "Error", Failed: "Your request failed. An error occurred while the server was processing your request.",
	}
}
